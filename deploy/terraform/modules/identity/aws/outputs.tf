output "identity" {
  description = "Who the lab is, and who starts it: id, how programs name it, whom roles are given to."
  value = {
    id        = aws_iam_role.this["lab"].arn
    client    = aws_iam_role.this["lab"].arn
    execution = { for kind in ["id", "client", "principal"] : kind => aws_iam_role.this["execution"].arn }
  }
  # What is started before it may pull or read does not start.
  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.node]
}
