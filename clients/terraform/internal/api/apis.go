package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// API is one whose routes are known, with what each needs.
type API struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	UnknownRoute string   `json:"unknown_route"`
	AllowPaths   []string `json:"allow_paths"`
	Routes       []Route  `json:"routes"`
	// Notes are what an import did not take as the document has it.
	Notes []string `json:"notes"`
	// Changes are there where nothing was written.
	Changes *struct {
		Roles []RoleReach `json:"roles"`
	} `json:"changes"`
	ETag string `json:"-"`
}

// Route needs all of its permissions, or all of those of any one way.
type Route struct {
	Method      string     `json:"method"`
	Path        string     `json:"path"`
	Permissions []string   `json:"permissions"`
	AnyOf       [][]string `json:"any_of"`
}

// Need is what a request of the route needs, in words.
func (r Route) Need() string {
	ways := r.AnyOf
	if len(r.Permissions) > 0 {
		ways = append([][]string{r.Permissions}, ways...)
	}
	texts := make([]string, 0, len(ways))
	for _, it := range ways {
		texts = append(texts, strings.Join(it, " and "))
	}
	return strings.Join(texts, ", or ")
}

// RoleReach is what the tokens of a role reach that they did not, and the other way round: how many, and the first few.
type RoleReach struct {
	Name   string   `json:"name"`
	Gains  int      `json:"gains"`
	Gained []string `json:"gained"`
	Loses  int      `json:"loses"`
	Lost   []string `json:"lost"`
}

// Document says which routes an API has.
type Document struct {
	// Format is `json`, `yaml` or `toml`.
	Format, Text string
	// UnknownRoute and AllowPaths count more than the document where they are given.
	UnknownRoute string
	AllowPaths   *[]string
}

// APIs lists those that the token sees, without their routes.
func (o *Of) APIs(ctx context.Context) ([]API, error) {
	var all list[API]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("api")}, &all)
	return all.Results, err
}

// API reads one with its routes.
func (o *Of) API(ctx context.Context, name string) (API, error) {
	return read[API](ctx, o.Client, o.path("api", name))
}

// PreviewAPI answers what an import would make of a document, and what becomes different. Nothing is written.
func (o *Of) PreviewAPI(ctx context.Context, name string, document Document) (API, error) {
	return o.importAPI(ctx, name, document, "", true)
}

// PutAPI imports a document: its routes take the place of those of that name.
func (o *Of) PutAPI(ctx context.Context, name, etag string, document Document) (API, error) {
	return o.importAPI(ctx, name, document, etag, false)
}

func (o *Of) importAPI(ctx context.Context, name string, document Document, etag string, preview bool) (API, error) {
	query := url.Values{}
	if preview {
		query.Set("dry_run", "true")
	}
	if document.UnknownRoute != "" {
		query.Set("unknown_route", document.UnknownRoute)
	}
	if document.AllowPaths != nil {
		query.Set("allow_paths", strings.Join(*document.AllowPaths, ","))
	}
	path := o.path("api", name)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return written[API](ctx, o.Client, call{method: http.MethodPut, path: path, body: text{"application/" + document.Format, document.Text}, etag: etag, reads: preview})
}

// DeleteAPI deletes one.
func (o *Of) DeleteAPI(ctx context.Context, name string) error {
	return o.delete(ctx, o.path("api", name), nil)
}
