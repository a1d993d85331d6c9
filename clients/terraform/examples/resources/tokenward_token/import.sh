terraform import tokenward_token.ci ci
terraform import tokenward_token.ci acme/ci
