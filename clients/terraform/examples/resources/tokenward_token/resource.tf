variable "deployer_secret" {
  description = "From a vault; it is in no state, no plan and no trace."
  type        = string
  ephemeral   = true
}

variable "billing_digest" {
  description = "The SHA-256 of a secret that was made elsewhere: `printf %s \"$secret\" | sha256sum`."
  type        = string
}

# 1. A secret from elsewhere, of which only the digest leaves this machine.
resource "tokenward_token" "deployer" {
  name              = "deployer"
  role              = "devops"
  expires_in        = "2160h"
  overlap           = "24h"
  secret_wo         = var.deployer_secret
  secret_wo_version = 1
}

# 2. A secret that was never here.
resource "tokenward_token" "billing" {
  name     = "billing"
  role     = "billing"
  networks = ["192.0.2.0/24"]
  digest   = var.billing_digest
}

# 3. A secret of the server's, which stands in the state.
resource "tokenward_token" "ci" {
  name            = "ci"
  role            = "viewer"
  generate        = true
  rotate_triggers = { month = "2027-01" }

  # Narrower than its role, found by its labels, and slowed down.
  permissions = ["*:read"]
  labels      = { team = "shop" }
  metadata    = jsonencode({ plan = "gold" })
  rate_limit  = { requests = 100, per = "minute" }
}
