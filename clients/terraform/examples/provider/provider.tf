terraform {
  required_version = ">= 1.11"
  required_providers {
    tokenward = {
      source = "tokenward/tokenward"
    }
  }
}

# TOKENWARD_URL and TOKENWARD_TOKEN say which server, and who asks.
provider "tokenward" {}
