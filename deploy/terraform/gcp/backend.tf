# Partial: the stack's own bucket and prefix are in the file that `inv tf.init` renders and hands over.
terraform {
  backend "gcs" {}
}
