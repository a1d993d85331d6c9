package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

type list[T any] struct {
	Results []T `json:"results"`
}

// Organization is one that the token sees.
type Organization struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	WebsiteURL  string   `json:"website_url"`
	Repository  string   `json:"repository"`
	LogoURL     string   `json:"logo_url"`
	IconURL     string   `json:"icon_url"`
	AdminEmails []string `json:"admin_emails"`
	// ForbidsDevice is true where sessions are refused that were given to another machine by a code.
	ForbidsDevice bool   `json:"forbids_device"`
	ETag          string `json:"-"`
}

// Of is an organization whose objects are managed.
type Of struct {
	*Client
	ID    string
	Name  string
	lists lists
}

// Organization finds the one that somebody means, by name or id; the only one where nothing is said.
func (c *Client) Organization(ctx context.Context, wanted string) (*Of, error) {
	var all list[Organization]
	if _, err := c.do(ctx, call{method: http.MethodGet, path: "/organization"}, &all); err != nil {
		return nil, err
	}
	var names []string
	for _, it := range all.Results {
		names = append(names, it.Name)
		if it.ID == wanted || strings.EqualFold(it.Name, wanted) || wanted == "" && len(all.Results) == 1 {
			return &Of{Client: c, ID: it.ID, Name: it.Name}, nil
		}
	}
	if wanted == "" {
		return nil, &Error{Status: http.StatusNotFound, Code: "no_organization",
			Detail: "This token sees " + strconv.Itoa(len(names)) + " organizations. Set `organization` to one of: " + strings.Join(names, ", ") + "."}
	}
	return nil, &Error{Status: http.StatusNotFound, Code: "no_organization",
		Detail: "There is no organization `" + wanted + "`, or the token may not see it. Set `organization` to one of: " + strings.Join(names, ", ") + "."}
}

// Itself reads the organization.
func (o *Of) Itself(ctx context.Context) (Organization, error) {
	return read[Organization](ctx, o.Client, o.path())
}

// Edit changes the organization.
func (o *Of) Edit(ctx context.Context, etag string, fields Fields) (Organization, error) {
	return written[Organization](ctx, o.Client, call{method: http.MethodPut, path: o.path(), body: fields, etag: etag})
}

func (o *Of) path(rest ...string) string {
	path := "/organization/" + o.ID
	for _, it := range rest {
		path += "/" + url.PathEscape(it)
	}
	return path
}

// Network is one that a token is bound to.
type Network struct {
	Network string `json:"network"`
	Note    string `json:"note,omitempty"`
}

// Version is a secret of a token.
type Version struct {
	Version     int        `json:"version"`
	ExpiresAt   *time.Time `json:"expires_at"`
	LastFour    string     `json:"last_four"`
	LastUsedAt  *time.Time `json:"last_used_at"`
	LastUsedVia string     `json:"last_used_agent"`
	// EndsWhenSilent is after how long a silence it ends before its end; empty where it does not.
	EndsWhenSilent string `json:"ends_when_silent"`
}

// Revocation says that a token was taken back.
type Revocation struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Note   string    `json:"note"`
	ByName string    `json:"by_name"`
}

// Rate is how fast a token may be used.
type Rate struct {
	Requests int64  `json:"requests"`
	Per      string `json:"per"`
	Burst    int64  `json:"burst,omitempty"`
}

// Quota is how much a token may be used until it is filled again.
type Quota struct {
	Requests int64  `json:"requests"`
	Refill   string `json:"refill"`
}

// Token is an API token.
type Token struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Description  string            `json:"description"`
	RoleID       string            `json:"role_id"`
	RoleName     string            `json:"role_name"`
	CreatorID    string            `json:"creator_id"`
	CreatedAt    time.Time         `json:"created_at"`
	NotBefore    *time.Time        `json:"not_before"`
	ExpiresAt    *time.Time        `json:"expires_at"`
	Networks     []Network         `json:"networks"`
	OwnerID      string            `json:"owner_id"`
	OwnerName    string            `json:"owner_name"`
	Labels       map[string]string `json:"labels"`
	Metadata     json.RawMessage   `json:"metadata"`
	SuccessorID  string            `json:"successor_id"`
	Permissions  []string          `json:"permissions"`
	Projects     []string          `json:"projects"`
	Environments []string          `json:"environments"`
	RateLimit    *Rate             `json:"rate_limit"`
	Quota        *Quota            `json:"quota"`
	State        string            `json:"state"`
	DisabledAt   *time.Time        `json:"disabled_at"`
	// DisabledBecause is why the server has switched it off; empty where somebody did.
	DisabledBecause string `json:"disabled_because"`
	// ReusedAt is when a secret of it that was replaced last came back.
	ReusedAt *time.Time `json:"reused_at"`
	// Attestation is whether it is still needed, where that is asked.
	Attestation   string      `json:"attestation"`
	LastFour      string      `json:"last_four"`
	Revocation    *Revocation `json:"revocation"`
	Versions      []Version   `json:"versions"`
	LastUsedAt    *time.Time  `json:"last_used_at"`
	LastUsedAgent string      `json:"last_used_agent"`
	AllowedCount  int64       `json:"allowed_count"`
	DeniedCount   int64       `json:"denied_count"`
	// Text is there once, in the answer to the request that made it.
	Text string `json:"token"`
	// ETag is the version that an edit changes; in a list it is told by UpdatedAt.
	ETag      string `json:"-"`
	UpdatedAt string `json:"updated_at"`
}

// Token reads a token; one that was deleted has the state `revoked` for 90 days.
func (o *Of) Token(ctx context.Context, id string) (Token, error) {
	if token, known := many(ctx, o, o.path("apiToken")+"?state=kept", id, o.Tokens, func(it Token) string { return it.ID }); known {
		return token, nil
	}
	var token Token
	etag, err := o.do(ctx, call{method: http.MethodGet, path: o.path("apiToken", id)}, &token)
	token.ETag = etag
	return token, err
}

// Tokens lists those that have not been deleted.
func (o *Of) Tokens(ctx context.Context) ([]Token, error) {
	var all list[Token]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("apiToken") + "?state=kept"}, &all)
	for at := range all.Results {
		all.Results[at].ETag = listedVersion(all.Results[at].UpdatedAt)
	}
	return all.Results, err
}

// Fields are attributes of an object by their names; what is absent stays, what is nil is taken away.
type Fields = map[string]any

// CreateToken makes one.
func (o *Of) CreateToken(ctx context.Context, fields Fields) (Token, error) {
	return o.tokenCall(ctx, call{method: http.MethodPost, path: o.path("apiToken"), body: fields, key: Random(16)})
}

// EditToken changes one that has this version.
func (o *Of) EditToken(ctx context.Context, id, etag string, fields Fields) (Token, error) {
	return o.tokenCall(ctx, call{method: http.MethodPatch, path: o.path("apiToken", id), body: fields, etag: etag})
}

// RotateToken gives one that has this version a new secret.
func (o *Of) RotateToken(ctx context.Context, id, etag string, fields Fields) (Token, error) {
	return o.tokenCall(ctx, call{method: http.MethodPost, path: o.path("apiToken", id, "rotate"), body: fields, etag: etag, key: Random(16)})
}

// EnableToken switches one that has this version on or off.
func (o *Of) EnableToken(ctx context.Context, id, etag string, on bool) (Token, error) {
	word := "disable"
	if on {
		word = "enable"
	}
	return o.tokenCall(ctx, call{method: http.MethodPost, path: o.path("apiToken", id, word), etag: etag})
}

func (o *Of) tokenCall(ctx context.Context, it call) (Token, error) {
	var token Token
	etag, err := o.do(ctx, it, &token)
	token.ETag = etag
	return token, err
}

// DeleteToken takes it back.
func (o *Of) DeleteToken(ctx context.Context, id string) error {
	return o.delete(ctx, o.path("apiToken", id), nil)
}

// Role is one that can be given.
type Role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Roles lists those that can be given.
func (o *Of) Roles(ctx context.Context) ([]Role, error) {
	var all list[Role]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("availableRole")}, &all)
	return all.Results, err
}

// CustomRole is a role of the organization's own.
type CustomRole struct {
	ID                 string              `json:"id,omitempty"`
	Name               string              `json:"name"`
	Description        string              `json:"description"`
	Permissions        []string            `json:"permissions"`
	ProjectPermissions []ProjectPermission `json:"project_permissions"`
	ClusterPermissions []ClusterPermission `json:"cluster_permissions"`
	ETag               string              `json:"-"`
}

// ProjectPermission is what a role may do in a project.
type ProjectPermission struct {
	ProjectID   string           `json:"project_id"`
	IsAdmin     bool             `json:"is_admin"`
	Permissions []ModePermission `json:"permissions,omitempty"`
}

// ModePermission is what a role may do with environments of one mode.
type ModePermission struct {
	Mode  string `json:"environment_type"`
	Level string `json:"permission"`
}

// ClusterPermission is what a role may do with a cluster.
type ClusterPermission struct {
	ClusterID string `json:"cluster_id"`
	Level     string `json:"permission"`
}

// CustomRole reads a role.
func (o *Of) CustomRole(ctx context.Context, id string) (CustomRole, error) {
	return read[CustomRole](ctx, o.Client, o.path("customRole", id))
}

// CreateRole makes a role without any right on projects and clusters.
func (o *Of) CreateRole(ctx context.Context, fields Fields) (CustomRole, error) {
	return written[CustomRole](ctx, o.Client, call{method: http.MethodPost, path: o.path("customRole"), body: fields, key: Random(16)})
}

// EditRole puts another one in its place.
func (o *Of) EditRole(ctx context.Context, role CustomRole) (CustomRole, error) {
	id, etag := role.ID, role.ETag
	role.ID = ""
	return written[CustomRole](ctx, o.Client, call{method: http.MethodPut, path: o.path("customRole", id), body: role, etag: etag})
}

// DeleteRole deletes a role; who has it gets another one first, where one is named.
func (o *Of) DeleteRole(ctx context.Context, id, moveTo string) error {
	path := o.path("customRole", id)
	if moveTo != "" {
		path += "?move_to=" + url.QueryEscape(moveTo)
	}
	return o.delete(ctx, path, nil)
}

// Project is a project.
type Project struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	ETag        string `json:"-"`
	// UpdatedAt is its version in a list.
	UpdatedAt string `json:"updated_at"`
}

// Projects lists those that the token sees.
func (o *Of) Projects(ctx context.Context) ([]Project, error) {
	var all list[Project]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("project")}, &all)
	for at := range all.Results {
		all.Results[at].ETag = listedVersion(all.Results[at].UpdatedAt)
	}
	return all.Results, err
}

// Project reads one.
func (o *Of) Project(ctx context.Context, id string) (Project, error) {
	if project, known := many(ctx, o, "many projects", id, o.Projects, func(it Project) string { return it.ID }); known {
		return project, nil
	}
	return read[Project](ctx, o.Client, "/project/"+url.PathEscape(id))
}

// CreateProject makes one.
func (o *Of) CreateProject(ctx context.Context, fields Fields) (Project, error) {
	return written[Project](ctx, o.Client, call{method: http.MethodPost, path: o.path("project"), body: fields, key: Random(16)})
}

// EditProject changes one.
func (o *Of) EditProject(ctx context.Context, id, etag string, fields Fields) (Project, error) {
	return written[Project](ctx, o.Client, call{method: http.MethodPut, path: "/project/" + url.PathEscape(id), body: fields, etag: etag})
}

// DeleteProject deletes one with all that is in it.
func (o *Of) DeleteProject(ctx context.Context, id string) error {
	return o.delete(ctx, "/project/"+url.PathEscape(id), nil)
}

// Environment is an environment of a project.
type Environment struct {
	ID        string              `json:"id"`
	Name      string              `json:"name"`
	Mode      string              `json:"mode"`
	ClusterID string              `json:"cluster_id"`
	Project   struct{ ID string } `json:"project"`
	ETag      string              `json:"-"`
}

// Environments lists those of a project.
func (o *Of) Environments(ctx context.Context, project string) ([]Environment, error) {
	var all list[Environment]
	_, err := o.do(ctx, call{method: http.MethodGet, path: "/project/" + url.PathEscape(project) + "/environment"}, &all)
	return all.Results, err
}

// Environment reads one.
func (o *Of) Environment(ctx context.Context, id string) (Environment, error) {
	return read[Environment](ctx, o.Client, "/environment/"+url.PathEscape(id))
}

// CreateEnvironment makes one in a project.
func (o *Of) CreateEnvironment(ctx context.Context, project string, fields Fields) (Environment, error) {
	return written[Environment](ctx, o.Client, call{method: http.MethodPost, path: "/project/" + url.PathEscape(project) + "/environment", body: fields, key: Random(16)})
}

// EditEnvironment changes one.
func (o *Of) EditEnvironment(ctx context.Context, id, etag string, fields Fields) (Environment, error) {
	return written[Environment](ctx, o.Client, call{method: http.MethodPut, path: "/environment/" + url.PathEscape(id), body: fields, etag: etag})
}

// DeleteEnvironment deletes one with all that is in it.
func (o *Of) DeleteEnvironment(ctx context.Context, id string) error {
	return o.delete(ctx, "/environment/"+url.PathEscape(id), nil)
}

// Cluster is where environments run.
type Cluster struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Description   string `json:"description"`
	Region        string `json:"region"`
	CloudProvider string `json:"cloud_provider"`
	ETag          string `json:"-"`
	// UpdatedAt is its version in a list.
	UpdatedAt string `json:"updated_at"`
}

// listedVersion is the ETag of what a list told: its time in quotes.
func listedVersion(updatedAt string) string {
	if updatedAt == "" {
		return ""
	}
	return "\"" + updatedAt + "\""
}

// Clusters lists those that the token sees.
func (o *Of) Clusters(ctx context.Context) ([]Cluster, error) {
	var all list[Cluster]
	_, err := o.do(ctx, call{method: http.MethodGet, path: o.path("cluster")}, &all)
	for at := range all.Results {
		all.Results[at].ETag = listedVersion(all.Results[at].UpdatedAt)
	}
	return all.Results, err
}

// CreateCluster makes one.
func (o *Of) CreateCluster(ctx context.Context, fields Fields) (Cluster, error) {
	return written[Cluster](ctx, o.Client, call{method: http.MethodPost, path: o.path("cluster"), body: fields, key: Random(16)})
}

// EditCluster changes one that has this version.
func (o *Of) EditCluster(ctx context.Context, id, etag string, fields Fields) (Cluster, error) {
	return written[Cluster](ctx, o.Client, call{method: http.MethodPut, path: o.path("cluster", id), body: fields, etag: etag})
}

// DeleteCluster deletes one on which nothing runs.
func (o *Of) DeleteCluster(ctx context.Context, id string) error {
	return o.delete(ctx, o.path("cluster", id), nil)
}

// Member is a member, or somebody who was invited.
type Member struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	RoleID   string `json:"role_id"`
	RoleName string `json:"role_name"`
	// Link is that of an invitation, with its secret where it was just made.
	Link   string `json:"invitation_link"`
	Status string `json:"invitation_status"`
	ETag   string `json:"-"`
	// UpdatedAt is the version in a list.
	UpdatedAt string `json:"updated_at"`
}

// Members lists members, and apart from them who was invited.
func (o *Of) Members(ctx context.Context) (members, invited []Member, err error) {
	var joined, pending list[Member]
	if _, err = o.do(ctx, call{method: http.MethodGet, path: o.path("member")}, &joined); err != nil {
		return nil, nil, err
	}
	for at := range joined.Results {
		joined.Results[at].ETag = listedVersion(joined.Results[at].UpdatedAt)
	}
	_, err = o.do(ctx, call{method: http.MethodGet, path: o.path("inviteMember")}, &pending)
	return joined.Results, pending.Results, err
}

// Invite invites somebody.
func (o *Of) Invite(ctx context.Context, email, role string) (Member, error) {
	return written[Member](ctx, o.Client, call{method: http.MethodPost, path: o.path("inviteMember"),
		body: Fields{"email": email, "role_id": role}, key: Random(16)})
}

// InviteAnew makes a new link for an invitation, which ends later.
func (o *Of) InviteAnew(ctx context.Context, id string) (Member, error) {
	return written[Member](ctx, o.Client, call{method: http.MethodPost, path: o.path("inviteMember", id, "resend")})
}

// Uninvite takes an invitation back.
func (o *Of) Uninvite(ctx context.Context, id string) error {
	return o.delete(ctx, o.path("inviteMember", id), nil)
}

// GiveRole gives a member that has this version another role.
func (o *Of) GiveRole(ctx context.Context, user, etag, role string) error {
	_, err := o.do(ctx, call{method: http.MethodPut, path: o.path("member"), body: Fields{"user_id": user, "role_id": role}, etag: etag}, nil)
	return err
}

// RemoveMember removes a member.
func (o *Of) RemoveMember(ctx context.Context, user string) error {
	return o.delete(ctx, o.path("member"), Fields{"user_id": user})
}

// Variable is a variable, or a secret without its value.
type Variable struct {
	ID          string  `json:"id"`
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	Description string  `json:"description"`
	IsSecret    bool    `json:"is_secret"`
	ETag        string  `json:"-"`
	// UpdatedAt is its version in a list.
	UpdatedAt string `json:"updated_at"`
}

// Place is where variables are: a project or an environment.
type Place struct{ Scope, ID string }

func (p Place) path(secret bool, rest ...string) string {
	kind := "environmentVariable"
	if secret {
		kind = "secret"
	}
	path := "/" + strings.ToLower(p.Scope) + "/" + url.PathEscape(p.ID) + "/" + kind
	for _, it := range rest {
		path += "/" + url.PathEscape(it)
	}
	return path
}

// Variables lists those of a place, secrets or not.
func (o *Of) Variables(ctx context.Context, place Place, secret bool) ([]Variable, error) {
	var all list[Variable]
	_, err := o.do(ctx, call{method: http.MethodGet, path: place.path(secret)}, &all)
	for at := range all.Results {
		all.Results[at].ETag = listedVersion(all.Results[at].UpdatedAt)
	}
	return all.Results, err
}

// CreateVariable makes one.
func (o *Of) CreateVariable(ctx context.Context, place Place, secret bool, fields Fields) (Variable, error) {
	return written[Variable](ctx, o.Client, call{method: http.MethodPost, path: place.path(secret), body: fields, key: Random(16)})
}

// EditVariable changes one that has this version.
func (o *Of) EditVariable(ctx context.Context, place Place, secret bool, id, etag string, fields Fields) (Variable, error) {
	return written[Variable](ctx, o.Client, call{method: http.MethodPut, path: place.path(secret, id), body: fields, etag: etag})
}

// DeleteVariable deletes one.
func (o *Of) DeleteVariable(ctx context.Context, place Place, secret bool, id string) error {
	return o.delete(ctx, place.path(secret, id), nil)
}

// Decision is what a token would be answered.
type Decision struct {
	Valid             bool   `json:"valid"`
	Code              string `json:"code"`
	Sentence          string `json:"sentence"`
	MissingPermission string `json:"missing_permission"`
}

// Decide asks what a token may do, by its id and never by its text.
func (o *Of) Decide(ctx context.Context, token string, question Fields) (Decision, error) {
	return written[Decision](ctx, o.Client, call{method: http.MethodPost, path: o.path("apiToken", token, "decide"), body: question, reads: true})
}

// DecideOfPolicyToken asks what a policy token may do, by its policy and its role.
func (o *Of) DecideOfPolicyToken(ctx context.Context, token string, question Fields) (Decision, error) {
	return written[Decision](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken", token, "decide"), body: question, reads: true})
}

// RoleDecision is what any token of a role would be answered.
type RoleDecision struct {
	Allowed bool   `json:"allowed"`
	Detail  string `json:"detail"`
}

// DecideOfRole asks what a token of a role would be answered: `permission`, or `api`, `method` and `path`.
func (o *Of) DecideOfRole(ctx context.Context, role string, asked Fields) (RoleDecision, error) {
	question := Fields{"role_id": role, "requests": []Fields{asked}}
	all, err := written[list[RoleDecision]](ctx, o.Client, call{method: http.MethodPost, path: o.path("policyApiToken", "evaluate"), body: question, reads: true})
	if err == nil && len(all.Results) != 1 {
		err = notTokenward(o.base, http.StatusOK)
	}
	if err != nil {
		return RoleDecision{}, err
	}
	return all.Results[0], nil
}

func (o *Of) delete(ctx context.Context, path string, body any) error {
	_, err := o.do(ctx, call{method: http.MethodDelete, path: path, body: body}, nil)
	return err
}

func read[T any](ctx context.Context, client *Client, path string) (T, error) {
	return written[T](ctx, client, call{method: http.MethodGet, path: path})
}

func written[T any](ctx context.Context, client *Client, it call) (T, error) {
	var object T
	etag, err := client.do(ctx, it, &object)
	// Of those that have a version, it goes with the next edit.
	switch it := any(&object).(type) {
	case *CustomRole:
		it.ETag = etag
	case *Project:
		it.ETag = etag
	case *Environment:
		it.ETag = etag
	case *Organization:
		it.ETag = etag
	case *API:
		it.ETag = etag
	case *PolicyToken:
		it.ETag = etag
	case *TokenPolicy:
		it.ETag = etag
	case *EventRetention:
		it.ETag = etag
	}
	return object, err
}
