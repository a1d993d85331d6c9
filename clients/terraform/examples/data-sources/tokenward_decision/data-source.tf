resource "tokenward_token" "ci" {
  name     = "ci"
  role     = "viewer"
  generate = true
}

check "ci_may_not_pay" {
  data "tokenward_decision" "pay" {
    token_id   = tokenward_token.ci.id
    permission = "invoices:pay"
  }
  assert {
    condition     = !data.tokenward_decision.pay.allowed
    error_message = "The token of CI can pay invoices."
  }
}
