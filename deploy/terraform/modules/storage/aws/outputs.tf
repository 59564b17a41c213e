output "file_system" {
  description = "ID of the file system."
  value       = aws_efs_file_system.this.id
}

output "volumes" {
  description = "Volume handles (FILE_SYSTEM_ID::ACCESS_POINT_ID) of the home (`home`) and the models (`models`); null for models without a volume."
  value = merge(
    { models = null },
    { for name, point in aws_efs_access_point.this : name => "${aws_efs_file_system.this.id}::${point.id}" },
  )
  # Mounts need a mount target and the policy.
  depends_on = [aws_efs_mount_target.this, aws_efs_file_system_policy.this]
}
