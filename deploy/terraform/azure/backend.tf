# Partial: the stack's own container and key are in the file that `inv tf.init` renders and hands over.
terraform {
  backend "azurerm" {}
}
