resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_51:all tags are immutable, except for those of the build cache
  name                 = "${var.name}/${var.repository}"
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"
  force_delete         = !var.protected
  tags                 = var.labels

  # BuildKit's cache is not an image: its tag is overwritten by each build.
  image_tag_mutability_exclusion_filter {
    filter      = "buildcache*"
    filter_type = "WILDCARD"
  }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
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
