package api

import (
	"context"
	"errors"
	"net/http"
)

// LifeRules are what is asked of the lives of tokens. Lengths are such as `12h`, `90d` or `1y`; nil asks nothing.
type LifeRules struct {
	MaxLifetime     *string `json:"max_lifetime"`
	DefaultLifetime *string `json:"default_lifetime"`
	EndRequired     bool    `json:"end_required"`
	MaxOverlap      *string `json:"max_overlap"`
}

// RoleRules are what is asked besides of tokens with a role.
type RoleRules struct {
	RoleID string `json:"role_id"`
	LifeRules
}

// TokenPolicy is all that an organization asks of tokens.
type TokenPolicy struct {
	LifeRules
	// OnReuse is `mark` or `disable`; what is empty is `mark`.
	OnReuse     string      `json:"on_reuse,omitempty"`
	AttestEvery *string     `json:"attest_every"`
	Roles       []RoleRules `json:"roles"`
	ETag        string      `json:"-"`
}

// TokenPolicy reads what the organization asks of tokens.
func (o *Of) TokenPolicy(ctx context.Context) (TokenPolicy, error) {
	return read[TokenPolicy](ctx, o.Client, o.path("tokenPolicy"))
}

// PutTokenPolicy writes all that it asks, over this version.
func (o *Of) PutTokenPolicy(ctx context.Context, etag string, policy TokenPolicy) (TokenPolicy, error) {
	if policy.Roles == nil {
		policy.Roles = []RoleRules{}
	}
	return written[TokenPolicy](ctx, o.Client, call{method: http.MethodPut, path: o.path("tokenPolicy"), body: policy, etag: etag})
}

// EventRetention is how long is kept what events say; nil is for as long as the server keeps it.
type EventRetention struct {
	Own  *string `json:"event_retention"`
	ETag string  `json:"-"`
}

// EventRetention reads it.
func (o *Of) EventRetention(ctx context.Context) (EventRetention, error) {
	return read[EventRetention](ctx, o.Client, o.path("eventRetention"))
}

// PutEventRetention writes it, over this version.
func (o *Of) PutEventRetention(ctx context.Context, etag string, own *string) (EventRetention, error) {
	return written[EventRetention](ctx, o.Client, call{method: http.MethodPut, path: o.path("eventRetention"), body: EventRetention{Own: own}, etag: etag})
}

// SignInPolicy is by what people sign in. With an API token it can be read, and never written.
type SignInPolicy struct {
	Word            string   `json:"sign_in"`
	Providers       []string `json:"providers"`
	TwoFactors      bool     `json:"two_factors"`
	GraceDays       int64    `json:"grace_days"`
	SessionLifetime *string  `json:"session_lifetime"`
	SessionIdle     *string  `json:"session_idle"`
}

// SignInPolicy reads it.
func (o *Of) SignInPolicy(ctx context.Context) (SignInPolicy, error) {
	policy, err := read[SignInPolicy](ctx, o.Client, o.path("signInPolicy"))
	if err == nil && policy.Word == "" {
		err = notTokenward(o.base, http.StatusOK)
	}
	return policy, err
}

// Lacks says whether a server refused since the token lacks a permission.
func Lacks(err error) bool {
	var ours *Error
	return errors.As(err, &ours) && ours.Status == http.StatusForbidden &&
		(ours.MissingPermission != "" || ours.Code == "scope_denied")
}
