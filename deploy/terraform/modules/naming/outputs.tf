output "name" {
  description = "Name of the stack: 24 characters at most."
  value       = local.name
}

output "unique" {
  description = "Letters and digits that no other account has: 24 at most, for what is named across a whole cloud."
  value       = local.unique
}
