output "identity" {
  description = "Who the lab is, and who starts it: id, how programs name it, whom roles are given to."
  value = {
    id        = aws_iam_role.this["lab"].arn
    client    = aws_iam_role.this["lab"].arn
    execution = { for kind in ["id", "client", "principal"] : kind => aws_iam_role.this["execution"].arn }
  }
}
