# Partial: the stack's own bucket and key are in the file that `inv tf.init` renders and hands over.
terraform {
  backend "s3" {}
}
