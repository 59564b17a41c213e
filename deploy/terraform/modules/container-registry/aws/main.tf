resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_51:they are, but for the two kinds below
  name                 = "${var.stack.name}/${var.repository}"
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"
  force_delete         = !var.stack.protected
  tags                 = var.stack.labels

  # Other tags never move. These say of themselves that they do: an image whose files no commit has, and BuildKit's cache.
  dynamic "image_tag_mutability_exclusion_filter" {
    for_each = ["*-dirty*", "buildcache*"]

    content {
      filter      = image_tag_mutability_exclusion_filter.value
      filter_type = "WILDCARD"
    }
  }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.stack.vault
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Layers that no tag names any more."
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "The last images are enough to roll back to."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
        action       = { type = "expire" }
      },
    ]
  })
}
