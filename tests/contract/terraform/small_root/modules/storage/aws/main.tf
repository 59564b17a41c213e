variable "name" {
  type = string
}

variable "vpc_id" {
  type = string
}

resource "aws_subnet" "this" {
  vpc_id     = var.vpc_id
  cidr_block = "10.0.1.0/24"
}

resource "aws_efs_file_system" "this" {
  creation_token = var.name
  encrypted      = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_efs_mount_target" "this" {
  file_system_id = aws_efs_file_system.this.id
  subnet_id      = aws_subnet.this.id
}

output "home" {
  value = aws_efs_file_system.this.id
}
