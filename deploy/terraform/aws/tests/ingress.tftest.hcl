# The Application Load Balancer, its certificate and DNS records.
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
    error_message = "HTTP must redirect to HTTPS"
  }

  assert {
    condition     = aws_lb_listener.https[0].ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "TLS 1.2 must be the minimum version"
  }

  assert {
    condition     = aws_lb.this[0].idle_timeout == 3600
    error_message = "connections must stay open for an hour without output of a kernel"
  }

  assert {
    condition     = aws_lb.this[0].security_groups == toset(["sg-gateway"]) && aws_lb.this[0].drop_invalid_header_fields && aws_lb.this[0].access_logs[0].enabled
    error_message = "the load balancer must use the security group of the allowed networks, drop invalid headers and write access logs"
  }

  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].path == "/lab/api" && aws_lb_target_group.this[0].port == 8888
    error_message = "the health check must use a path that needs no token"
  }

  assert {
    condition     = aws_lb_target_group.this[0].stickiness[0].type == "lb_cookie"
    error_message = "a cookie must keep a browser on the same task"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/" && length(tls_private_key.this) == 0
    error_message = "with a host name and a zone, the certificate must not be self-signed"
  }

  assert {
    condition     = length(aws_lb.this[0].name) <= 32 && length(aws_lb_target_group.this[0].name) <= 32
    error_message = "names must be within the load balancer's limit"
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
    error_message = "without HTTPS, the only listener must be HTTP"
  }
}

run "existing_certificate" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/mine"
  }

  assert {
    condition     = aws_lb_listener.https[0].certificate_arn == "arn:aws:acm:eu-central-1:123456789012:certificate/mine" && length(aws_acm_certificate.this) == 0
    error_message = "an existing certificate must be used, and none created"
  }
}

run "without_zone" {
  command = plan

  module {
    source = "../modules/ingress/aws"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = toset(output.dns_records[*].name) == toset(["_proof.lab.example.com.", "lab.example.com"])
    error_message = "the output must list the records to create"
  }

  assert {
    condition     = length(aws_route53_record.this) + length(aws_route53_record.validation) + length(aws_acm_certificate_validation.this) == 0
    error_message = "apply must not wait for records without a zone"
  }

  # The plan warns that browsers reject the certificate until it is issued.
  expect_failures = [check.trusted_certificate]
}

run "without_host_name" {
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
    error_message = "without a host name, the certificate must be self-signed"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_host_name" {
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
