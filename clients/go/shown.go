package tokenward

import (
	"fmt"
	"log/slog"
	"net/url"
)

// What is shown of a client, its settings and a question names no token: many read a log.

// Format shows which server is asked, and no credential.
func (c Client) Format(to fmt.State, _ rune) {
	_, _ = fmt.Fprintf(to, "tokenward.Client(%s)", c.base)
}

// Format shows which server is to be asked, and no credential.
func (c Config) Format(to fmt.State, _ rune) {
	shown := "no address"
	if at, err := url.Parse(c.URL); err == nil {
		shown = at.Redacted()
	}
	_, _ = fmt.Fprintf(to, "tokenward.Config(%s)", shown)
}

// Format shows what is asked, and not about which token.
func (q Question) Format(to fmt.State, _ rune) {
	said := ""
	if q.Permission != nil {
		said = *q.Permission
	} else if q.API != nil {
		said = *q.API
	}
	_, _ = fmt.Fprintf(to, "tokenward.Question(%s)", said)
}

// LogValue is the same for slog, whose JSON would have all fields.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// LogValue is the same for slog, whose JSON would have all fields.
func (q Question) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(q)) }
