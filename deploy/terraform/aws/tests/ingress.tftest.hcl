# The Application Load Balancer, its certificate and its names.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

mock_provider "tls" {}

variables {
  name              = "devai-dev"
  unique_name       = "devaidev12345678"
  account           = "123456789012"
  platform          = "simple"
  network_id        = "vpc-1"
  subnet_ids        = ["public-1", "public-2"]
  security_group_id = "sg-gateway"
  port              = 8888
  base_url          = "/lab/"
  host_name         = "lab.example.com"
  dns_zone          = "example.com"
  certificate       = ""
  enable_https      = true
  protected         = false
  labels            = { part-of = "devai" }
}

run "load_balancer" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  assert {
    condition     = aws_lb_listener.http[0].default_action[0].type == "redirect" && aws_lb_listener.http[0].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "HTTP is sent on to HTTPS"
  }

  assert {
    condition     = aws_lb_listener.https[0].ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "TLS 1.2 or newer"
  }

  assert {
    condition     = aws_lb.this[0].idle_timeout == 3600
    error_message = "a kernel may be quiet for an hour"
  }

  assert {
    condition     = aws_lb.this[0].security_groups == toset(["sg-gateway"]) && aws_lb.this[0].drop_invalid_header_fields && aws_lb.this[0].access_logs[0].enabled
    error_message = "the load balancer is behind the firewall of the allowed networks, strict and logged"
  }

  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].path == "/lab/api" && aws_lb_target_group.this[0].port == 8888
    error_message = "health is asked where no token is needed"
  }

  assert {
    condition     = aws_lb_target_group.this[0].stickiness[0].type == "lb_cookie"
    error_message = "a person stays with one task"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/" && length(tls_private_key.this) == 0
    error_message = "with a host name and a zone the certificate is a real one"
  }

  assert {
    condition     = length(aws_lb.this[0].name) <= 32 && length(aws_lb_target_group.this[0].name) <= 32
    error_message = "names are within the load balancer's limit"
  }
}

run "without_https" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    enable_https = false
  }

  assert {
    condition     = length(aws_lb_listener.https) == 0 && aws_lb_listener.http[0].default_action[0].type == "forward" && output.certificate == null
    error_message = "HTTP only, where HTTPS isn't wanted"
  }
}

run "a_certificate_that_exists" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/mine"
  }

  assert {
    condition     = aws_lb_listener.https[0].certificate_arn == "arn:aws:acm:eu-central-1:123456789012:certificate/mine" && length(aws_acm_certificate.this) == 0
    error_message = "it is used, and none is made"
  }
}

run "without_a_zone" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = toset(output.dns_records[*].name) == toset(["_proof.lab.example.com.", "lab.example.com"])
    error_message = "the records to make are named"
  }

  assert {
    condition     = length(aws_route53_record.this) + length(aws_route53_record.validation) + length(aws_acm_certificate_validation.this) == 0
    error_message = "and nothing waits for them"
  }

  # Browsers warn until the certificate is issued, and the plan says so.
  expect_failures = [check.trusted_certificate]
}

run "without_a_host_name" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    host_name = ""
    dns_zone  = ""
  }

  assert {
    condition     = length(aws_acm_certificate.self_signed) == 1 && startswith(output.url, "https://devai-dev-1.")
    error_message = "a first look is by a self-signed certificate"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_a_host_name" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    host_name = ""
    dns_zone  = ""
    protected = true
  }

  expect_failures = [tls_self_signed_cert.this, check.trusted_certificate]
}
