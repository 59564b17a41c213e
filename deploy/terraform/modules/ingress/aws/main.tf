locals {
  # On Kubernetes, the cluster creates the load balancer for its ingress.
  simple    = var.platform == "simple"
  requested = var.enable_https && var.certificate == "" && var.host_name != ""
  # Without a zone, the certificate is issued after the records are created, for which Terraform does not wait.
  validated = local.requested && var.dns_zone != ""
  # Until then, and without a host name, the certificate is self-signed.
  self_signed = var.enable_https && var.certificate == "" && !local.validated

  issued = try(aws_acm_certificate.this[0].status, "") == "ISSUED"
  certificate = (
    !var.enable_https ? null :
    var.certificate != "" ? var.certificate :
    local.validated ? aws_acm_certificate_validation.this[0].certificate_arn :
    local.issued ? aws_acm_certificate.this[0].arn :
    aws_acm_certificate.self_signed[0].arn
  )
  scheme  = var.enable_https ? "https" : "http"
  address = try(aws_lb.this[0].dns_name, null)
  proofs = local.requested ? [for option in aws_acm_certificate.this[0].domain_validation_options : {
    name  = option.resource_record_name
    type  = option.resource_record_type
    value = option.resource_record_value
  }] : []
}

# --- Certificate ---

resource "aws_acm_certificate" "this" {
  count = local.requested ? 1 : 0

  domain_name       = var.host_name
  validation_method = "DNS"
  tags              = var.labels

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_route53_zone" "this" {
  count = var.dns_zone == "" ? 0 : 1

  name = var.dns_zone
}

resource "aws_route53_record" "validation" {
  # ACM has one validation record per name, and the certificate has one name.
  count = local.validated ? 1 : 0

  zone_id         = data.aws_route53_zone.this[0].zone_id
  name            = local.proofs[0].name
  type            = local.proofs[0].type
  records         = [local.proofs[0].value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  count = local.validated ? 1 : 0

  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

# The private key is stored in the state, because the provider has no write-only argument for it. The certificate is
# temporary.
resource "tls_private_key" "this" {
  count = local.self_signed ? 1 : 0

  algorithm   = "ECDSA"
  ecdsa_curve = "P256"
}

resource "tls_self_signed_cert" "this" {
  count = local.self_signed ? 1 : 0

  private_key_pem       = tls_private_key.this[0].private_key_pem
  dns_names             = [coalesce(var.host_name, "${var.name}.invalid")]
  validity_period_hours = 8760
  early_renewal_hours   = 720
  allowed_uses          = ["digital_signature", "key_encipherment", "server_auth"]

  subject {
    common_name = coalesce(var.host_name, "${var.name}.invalid")
  }

  lifecycle {
    precondition {
      condition     = !(var.protected && var.host_name == "")
      error_message = "A protected stack needs a host name for HTTPS. Set ingress.host."
    }
  }
}

resource "aws_acm_certificate" "self_signed" {
  count = local.self_signed ? 1 : 0

  private_key      = tls_private_key.this[0].private_key_pem
  certificate_body = tls_self_signed_cert.this[0].cert_pem
  tags             = var.labels

  lifecycle {
    create_before_destroy = true
  }
}

check "trusted_certificate" {
  assert {
    condition     = !local.self_signed
    error_message = "Browsers show a warning, because the certificate is self-signed. Set a host name (ingress.host), and set a zone (dns.zone) or create the records of the output dns_records; then apply again."
  }
}

# --- Load balancer ---

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_20:the listener of port 80 redirects unless tls.enabled is false
  #checkov:skip=CKV2_AWS_28:only the allowed networks can connect; a web application firewall is for requests from the internet
  count = local.simple ? 1 : 0

  name                       = var.name
  load_balancer_type         = "application"
  subnets                    = var.subnet_ids
  security_groups            = [var.security_group_id]
  enable_deletion_protection = var.protected
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  # A kernel may produce no output for an hour; the maximum is 4000 s.
  idle_timeout = 3600
  tags         = var.labels

  access_logs {
    bucket  = aws_s3_bucket.logs[0].id
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "this" {
  count = local.simple ? 1 : 0

  # The name contains the port, because both target groups exist for a moment after a change of the port.
  name        = "${var.name}-${var.port}"
  vpc_id      = var.network_id
  target_type = "ip"
  port        = var.port
  #checkov:skip=CKV_AWS_378:TLS is terminated at the load balancer; connections behind it are in the stack's VPC
  protocol             = "HTTP"
  deregistration_delay = 120
  tags                 = var.labels

  # `/` redirects, and all other paths require the token.
  health_check {
    path                = "${var.base_url}api"
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  # Kernels run in one task: a cookie keeps each browser on the same task.
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 604800
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "http" {
  #checkov:skip=CKV_AWS_2:redirects to HTTPS unless tls.enabled is false
  #checkov:skip=CKV2_AWS_20:redirects to HTTPS unless tls.enabled is false
  count = local.simple ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  port              = 80
  protocol          = "HTTP"
  tags              = var.labels

  default_action {
    type             = var.enable_https ? "redirect" : "forward"
    target_group_arn = var.enable_https ? null : aws_lb_target_group.this[0].arn

    dynamic "redirect" {
      for_each = var.enable_https ? [443] : []

      content {
        port        = redirect.value
        protocol    = "HTTPS"
        status_code = "HTTP_301"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count = local.simple && var.enable_https ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = local.certificate
  tags              = var.labels

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[0].arn
  }
}

resource "aws_route53_record" "this" {
  count = local.simple && var.dns_zone != "" && var.host_name != "" ? 1 : 0

  zone_id = data.aws_route53_zone.this[0].zone_id
  name    = var.host_name
  type    = "A"

  alias {
    name                   = aws_lb.this[0].dns_name
    zone_id                = aws_lb.this[0].zone_id
    evaluate_target_health = false
  }
}

# --- Access log ---

resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_18:this bucket contains the access log
  #checkov:skip=CKV_AWS_144:logs are kept for a month and need no second region
  #checkov:skip=CKV_AWS_145:load balancers support only S3-managed keys
  #checkov:skip=CKV_AWS_21:log files are written once
  #checkov:skip=CKV2_AWS_62:no service processes new log files
  count = local.simple ? 1 : 0

  bucket        = "${var.unique_name}-access-log"
  force_destroy = !var.protected
  tags          = var.labels
}

resource "aws_s3_bucket_public_access_block" "logs" {
  count = local.simple ? 1 : 0

  bucket                  = aws_s3_bucket.logs[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  count = local.simple ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  count = local.simple ? 1 : 0

  bucket = aws_s3_bucket.logs[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LoadBalancer"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs[0].arn}/AWSLogs/${var.account}/*"
      },
      {
        Sid       = "EncryptedOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.logs[0].arn, "${aws_s3_bucket.logs[0].arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
