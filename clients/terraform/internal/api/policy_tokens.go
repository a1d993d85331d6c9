package api

import (
	"context"
	"net/http"
	"time"
)

// PolicyToken is a token that a policy bounds further than its role.
type PolicyToken struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	RoleID      string     `json:"role_id"`
	RoleName    string     `json:"role_name"`
	Policy      string     `json:"opa_policy"`
	ExpiresAt   *time.Time `json:"expires_at"`
	DisabledAt  *time.Time `json:"disabled_at"`
	LastFour    string     `json:"last_four"`
	// State is "revoked" where it was taken back: it can be read for a while.
	State      string      `json:"state"`
	Revocation *Revocation `json:"revocation"`
	Versions   []Version   `json:"versions"`
	// Text is there once, in the answer to the request that made it.
	Text string `json:"token"`
	ETag string `json:"-"`
}

// PolicyTokens lists those that have not ended.
func (o *Of) PolicyTokens(ctx context.Context) ([]PolicyToken, error) {
	var all list[PolicyToken]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("policyApiToken")}, &all)
	return all.Results, err
}

// PolicyToken reads one.
func (o *Of) PolicyToken(ctx context.Context, id string) (PolicyToken, error) {
	return read[PolicyToken](ctx, o.Client, o.path("policyApiToken", id))
}

// CreatePolicyToken makes one.
func (o *Of) CreatePolicyToken(ctx context.Context, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken"), body: fields, key: Random(16)})
}

// EditPolicyToken changes one that has this version.
func (o *Of) EditPolicyToken(ctx context.Context, id, etag string, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPatch, path: o.path("policyApiToken", id), body: fields, etag: etag})
}

// RotatePolicyToken gives one that has this version a new secret. The answer does not have its policy.
func (o *Of) RotatePolicyToken(ctx context.Context, id, etag string, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken", id, "rotate"), body: fields, etag: etag, key: Random(16)})
}

// DeletePolicyToken takes it back.
func (o *Of) DeletePolicyToken(ctx context.Context, id string) error {
	return o.delete(ctx, o.path("policyApiToken", id), nil)
}
