package api

import (
	"context"
	"net/http"
)

// PolicyToken is a token that a policy bounds further than its role.
type PolicyToken struct {
	Token
	Policy string `json:"opa_policy"`
}

// Rotated is the token with what an answer says of its new secret: that says nothing of its policy and of what else it is.
func (t PolicyToken) Rotated(made PolicyToken) PolicyToken {
	t.ExpiresAt, t.LastFour, t.Versions, t.Text, t.ETag = made.ExpiresAt, made.LastFour, made.Versions, made.Text, made.ETag
	return t
}

// PolicyTokens lists those that have not ended.
func (o *Of) PolicyTokens(ctx context.Context) ([]PolicyToken, error) {
	var all list[PolicyToken]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("policyApiToken")}, &all)
	return all.Results, err
}

// keptPolicyTokens are those that have not been deleted.
func (o *Of) keptPolicyTokens(ctx context.Context) ([]PolicyToken, error) {
	var all list[PolicyToken]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("policyApiToken") + "?state=kept"}, &all)
	for at := range all.Results {
		all.Results[at].ETag = listedVersion(all.Results[at].UpdatedAt)
	}
	return all.Results, err
}

// PolicyToken reads one; one that was deleted has the state `revoked` for 90 days.
func (o *Of) PolicyToken(ctx context.Context, id string) (PolicyToken, error) {
	if token, known := many(ctx, o, "many policy tokens", id, o.keptPolicyTokens, func(it PolicyToken) string { return it.ID }); known {
		return token, nil
	}
	return read[PolicyToken](ctx, o.Client, o.path("policyApiToken", id))
}

// CreatePolicyToken makes one. The answer has neither its policy nor what else it is.
func (o *Of) CreatePolicyToken(ctx context.Context, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken"), body: fields, key: Random(16)})
}

// EditPolicyToken changes one that has this version.
func (o *Of) EditPolicyToken(ctx context.Context, id, etag string, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPatch, path: o.path("policyApiToken", id), body: fields, etag: etag})
}

// RotatePolicyToken gives one that has this version a new secret. The answer has that alone: see Rotated.
func (o *Of) RotatePolicyToken(ctx context.Context, id, etag string, fields Fields) (PolicyToken, error) {
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken", id, "rotate"), body: fields, etag: etag, key: Random(16)})
}

// EnablePolicyToken switches one that has this version on or off.
func (o *Of) EnablePolicyToken(ctx context.Context, id, etag string, on bool) (PolicyToken, error) {
	word := "disable"
	if on {
		word = "enable"
	}
	return written[PolicyToken](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken", id, word), etag: etag})
}

// DeletePolicyToken takes it back.
func (o *Of) DeletePolicyToken(ctx context.Context, id string) error {
	return o.delete(ctx, o.path("policyApiToken", id), nil)
}
