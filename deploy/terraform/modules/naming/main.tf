# Names of a stack, short enough for every service that they are used in.
locals {
  full = "${var.project_name}-${var.environment}"
  hash = substr(sha1("${var.account}/${local.full}"), 0, 8)
  # 24 characters: vaults and storage accounts of Azure take no more. A longer name ends with a part of its hash.
  name   = length(local.full) <= 24 ? local.full : "${trimsuffix(substr(local.full, 0, 15), "-")}-${local.hash}"
  unique = "${substr(replace(local.full, "-", ""), 0, 16)}${local.hash}"
}
