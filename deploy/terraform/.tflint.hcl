# All rules of the bundled ruleset for Terraform. The rulesets for the clouds would have to be downloaded.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
