output "file_system" {
  description = "The file system: its id."
  value       = aws_efs_file_system.this.id
}

output "volumes" {
  description = "What a volume names: file system and access point."
  value = merge(
    { models = null },
    { for name, point in aws_efs_access_point.this : name => "${aws_efs_file_system.this.id}::${point.id}" },
  )
  # Nobody mounts it before it has an address and says who may.
  depends_on = [aws_efs_mount_target.this, aws_efs_file_system_policy.this]
}
