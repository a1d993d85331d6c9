variable "reader_secret" {
  description = "From a vault; it is in no state, no plan and no trace. `tokenward policy-token create --local` makes one."
  type        = string
  ephemeral   = true
}

variable "writer_digest" {
  description = "The SHA-256 of a policy token that was made elsewhere: `printf %s \"$secret\" | sha256sum`."
  type        = string
}

# 1. A secret from elsewhere, of which only the digest leaves this machine.
resource "tokenward_policy_token" "reader" {
  name              = "reader"
  role              = "viewer"
  policy            = "allow if input.request.method == \"GET\""
  overlap           = "24h"
  secret_wo         = var.reader_secret
  secret_wo_version = 1
}

# 2. A secret that was never here.
resource "tokenward_policy_token" "writer" {
  name   = "writer"
  role   = "devops"
  policy = "allow if input.request.method == \"POST\""
  digest = var.writer_digest
}

# 3. A secret of the server's, which stands in the state.
resource "tokenward_policy_token" "ci" {
  name            = "ci"
  role            = "viewer"
  policy          = "allow if input.request.method in {\"GET\", \"HEAD\"}"
  generate        = true
  rotate_triggers = { month = "2027-01" }

  # Bound further, found by its labels, and slowed down, as any token.
  networks    = ["192.0.2.0/24"]
  permissions = ["*:read"]
  labels      = { team = "shop" }
  rate_limit  = { requests = 100, per = "minute" }
}
