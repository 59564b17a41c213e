output "identity" {
  description = "IAM roles of the lab (`lab`) and of the service that starts it (`execution`: ECS tasks or EKS nodes), each with its ARN (`id`)."
  value = {
    lab       = { id = aws_iam_role.this["lab"].arn }
    execution = { id = aws_iam_role.this["execution"].arn }
  }
  # Tasks and pods fail to start without these permissions.
  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.node]
}
