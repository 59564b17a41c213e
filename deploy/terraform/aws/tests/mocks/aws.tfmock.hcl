# Mocked responses of AWS that the tests depend on.
mock_data "aws_availability_zones" {
  defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c", "eu-central-1d"] }
}

mock_data "aws_route53_zone" {
  defaults = { zone_id = "Z1" }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    arn    = "arn:aws:acm:eu-central-1:123456789012:certificate/made"
    status = "PENDING_VALIDATION"
    domain_validation_options = [{
      domain_name           = "lab.example.com"
      resource_record_name  = "_proof.lab.example.com."
      resource_record_type  = "CNAME"
      resource_record_value = "_proof.acm-validations.aws."
    }]
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/devai/devai-dev" }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws:ecr:eu-central-1:123456789012:repository/devai-dev/devai-lab"
    repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/devai-dev/devai-lab"
  }
}

mock_resource "aws_ecs_cluster" {
  defaults = { id = "arn:aws:ecs:eu-central-1:123456789012:cluster/devai-dev" }
}

mock_resource "aws_efs_access_point" {
  defaults = {
    arn = "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-1"
    id  = "fsap-1"
  }
}

mock_resource "aws_efs_file_system" {
  defaults = {
    arn = "arn:aws:elasticfilesystem:eu-central-1:123456789012:file-system/fs-1"
    id  = "fs-1"
  }
}

mock_resource "aws_eks_cluster" {
  defaults = {
    arn        = "arn:aws:eks:eu-central-1:123456789012:cluster/devai-dev"
    vpc_config = { cluster_security_group_id = "sg-cluster" }
  }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/made" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/made" }
}

mock_resource "aws_lb" {
  defaults = { dns_name = "devai-dev-1.eu-central-1.elb.amazonaws.com", zone_id = "Z2" }
}

mock_resource "aws_lb_target_group" {
  defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/devai-dev/1" }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:made" }
}

mock_resource "aws_security_group" {
  defaults = { id = "sg-made" }
}
