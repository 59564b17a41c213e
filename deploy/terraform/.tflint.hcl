# Terraform's own rules, all of them. The tool comes with them; those of the clouds would be downloads.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
