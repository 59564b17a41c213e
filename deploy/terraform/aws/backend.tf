# Partial configuration: bucket and key of a stack are in a file that `inv tf.init` renders and passes.
terraform {
  backend "s3" {}
}
