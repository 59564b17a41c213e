# Partial configuration: bucket and prefix of a stack are in a file that `inv tf.init` renders and passes.
terraform {
  backend "gcs" {}
}
