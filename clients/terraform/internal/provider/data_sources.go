package provider

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// data is a data source: its model, which is filled by one question.
type data[M any] struct {
	of     *api.Of
	name   string
	schema schema.Schema
	read   func(context.Context, *api.Of, *M) error
}

func (d *data[M]) Metadata(_ context.Context, _ datasource.MetadataRequest, response *datasource.MetadataResponse) {
	response.TypeName = "tokenward_" + d.name
}

func (d *data[M]) Schema(_ context.Context, _ datasource.SchemaRequest, response *datasource.SchemaResponse) {
	response.Schema = d.schema
}

func (d *data[M]) Configure(_ context.Context, request datasource.ConfigureRequest, response *datasource.ConfigureResponse) {
	configured(request.ProviderData, &d.of, &response.Diagnostics)
}

func (d *data[M]) Read(ctx context.Context, request datasource.ReadRequest, response *datasource.ReadResponse) {
	var model M
	if !take(ctx, &response.Diagnostics, sent{request.Config, &model}) {
		return
	}
	if err := d.read(ctx, d.of, &model); err != nil {
		tell(&response.Diagnostics, "The "+d.name+" cannot be read", err)
		return
	}
	response.Diagnostics.Append(response.State.Set(ctx, model)...)
}

// told describes what several data sources tell.
var told = map[string]string{
	"cloud_provider": "Such as `AWS`, `GCP`, `AZURE` or `ON_PREMISE`.",
	"expires_at":     "From when on it is refused (RFC 3339).",
	"last_four":      "The end of its newest secret.",
	"metadata":       "What is kept with it: the text of a JSON object, for `jsondecode`.",
	"owner":          "The e-mail address of the member who is accountable for it.",
	"last_used_at":   "When it was last presented; null where it never was.",
	"mode":           "`DEVELOPMENT`, `PREVIEW`, `STAGING` or `PRODUCTION`.",
	"region":         "Where it is.",
	"role_id":        "The id of the role.",
	"role_name":      "The name of the role.",
	"state":          "`active`, `disabled`, `not_yet_valid`, `brownout` or `expired`.",
	"not_before":     "From when on it is accepted (RFC 3339); null where that is at once.",
	"creator_id":     "The id of the member or token that made it; null where that was the operator.",
	"created_at":     "When it was made.",

	"last_used_agent":  "What last presented it, as it calls itself.",
	"disabled_because": "Why the server has switched it off (`secret_reused`, `not_attested`); null where it did not.",
	"reused_at":        "When a secret of it that was replaced last came back; null where none did.",
	"attestation":      "Whether somebody has said that it is still needed: `confirmed`, `due` or `overdue`; null where nobody is asked.",
}

// either is a pair of attributes of which one is said and both are known then.
func either(computed ...string) map[string]schema.Attribute {
	attributes := map[string]schema.Attribute{
		"id":   schema.StringAttribute{Optional: true, Computed: true},
		"name": schema.StringAttribute{Optional: true, Computed: true},
	}
	for _, it := range computed {
		attributes[it] = schema.StringAttribute{Computed: true, MarkdownDescription: told[it]}
	}
	return attributes
}

func wanted(id, name types.String) (string, error) {
	if id.IsNull() == name.IsNull() {
		return "", at("name", errors.New("say its `id` or its `name`"))
	}
	return id.ValueString() + name.ValueString(), nil
}

type tokenDataModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	RoleID      types.String `tfsdk:"role_id"`
	RoleName    types.String `tfsdk:"role_name"`
	ExpiresAt   types.String `tfsdk:"expires_at"`
	State       types.String `tfsdk:"state"`
	LastFour    types.String `tfsdk:"last_four"`
	LastUsedAt  types.String `tfsdk:"last_used_at"`
	Owner       types.String `tfsdk:"owner"`
	Labels      types.Map    `tfsdk:"labels"`
	Permissions types.Set    `tfsdk:"permissions"`
	Successor   types.String `tfsdk:"successor_id"`
	Projects    types.Set    `tfsdk:"projects"`
	Places      types.Set    `tfsdk:"environments"`
	Metadata    types.String `tfsdk:"metadata"`
	NotBefore   types.String `tfsdk:"not_before"`
	Networks    types.Set    `tfsdk:"networks"`
	RateLimit   types.Object `tfsdk:"rate_limit"`
	Quota       types.Object `tfsdk:"quota"`
	Creator     types.String `tfsdk:"creator_id"`
	CreatedAt   types.String `tfsdk:"created_at"`
	LastUsedBy  types.String `tfsdk:"last_used_agent"`
	Because     types.String `tfsdk:"disabled_because"`
	ReusedAt    types.String `tfsdk:"reused_at"`
	Attestation types.String `tfsdk:"attestation"`
}

func newTokenData() datasource.DataSource {
	attributes := either("description", "role_id", "role_name", "expires_at", "state", "last_four", "last_used_at", "owner", "metadata",
		"not_before", "creator_id", "created_at", "last_used_agent", "disabled_because", "reused_at", "attestation")
	attributes["networks"] = schema.SetAttribute{Computed: true, ElementType: types.StringType,
		MarkdownDescription: "The networks from which it is accepted, each with its note behind a space; null where that is everywhere."}
	attributes["rate_limit"] = schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "How fast it may be used; null where nothing bounds it.", Attributes: map[string]schema.Attribute{
		"requests": schema.Int64Attribute{Computed: true, MarkdownDescription: "So many requests."},
		"per":      schema.StringAttribute{Computed: true, MarkdownDescription: "In a `second`, a `minute` or an `hour`."},
		"burst":    schema.Int64Attribute{Computed: true, MarkdownDescription: "So many at once."},
	}}
	attributes["quota"] = schema.SingleNestedAttribute{Computed: true, MarkdownDescription: "How much it may be used until it is filled again; null where nothing bounds it.", Attributes: map[string]schema.Attribute{
		"requests": schema.Int64Attribute{Computed: true, MarkdownDescription: "So many requests."},
		"refill":   schema.StringAttribute{Computed: true, MarkdownDescription: "Until the next `day` or `month` begins, in UTC."},
	}}
	attributes["labels"] = schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Words by which it is found."}
	attributes["permissions"] = schema.SetAttribute{Computed: true, ElementType: types.StringType,
		MarkdownDescription: "The permissions of its role that it is narrowed to; null where it may do all that its role allows."}
	attributes["successor_id"] = schema.StringAttribute{Computed: true, MarkdownDescription: "The id of the member who becomes its owner when that one leaves; null where there is none."}
	attributes["projects"] = schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The ids of the projects that it is narrowed to."}
	attributes["environments"] = schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The ids of the environments that it is narrowed to."}
	return &data[tokenDataModel]{name: "token", schema: schema.Schema{
		MarkdownDescription: "A token, without its secret.",
		Attributes:          attributes,
	}, read: func(ctx context.Context, of *api.Of, m *tokenDataModel) error {
		name, err := wanted(m.ID, m.Name)
		if err != nil {
			return err
		}
		all, err := of.KnownTokens(ctx)
		if err != nil {
			return err
		}
		it, err := byName(all, name, "token", func(it api.Token) (string, string) { return it.ID, it.Name })
		m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), optional(it.Description)
		m.RoleID, m.RoleName, m.State, m.LastFour = types.StringValue(it.RoleID), types.StringValue(it.RoleName), types.StringValue(it.State), types.StringValue(it.LastFour)
		m.ExpiresAt, m.LastUsedAt = moment(types.StringNull(), it.ExpiresAt), moment(types.StringNull(), it.LastUsedAt)
		m.Owner, m.Metadata = ownerText(types.StringNull(), it), optional(string(it.Metadata))
		m.Successor = optional(it.SuccessorID)
		m.Projects, m.Places = textSet(it.Projects, types.SetNull(types.StringType)), textSet(it.Environments, types.SetNull(types.StringType))
		m.Permissions, m.Labels = textSet(it.Permissions, types.SetNull(types.StringType)), labelMap(it.Labels)
		m.NotBefore, m.CreatedAt, m.ReusedAt = moment(types.StringNull(), it.NotBefore), moment(types.StringNull(), &it.CreatedAt), moment(types.StringNull(), it.ReusedAt)
		m.Networks = textSet(networkTexts(it.Networks), types.SetNull(types.StringType))
		m.Creator, m.LastUsedBy, m.Because, m.Attestation = optional(it.CreatorID), optional(it.LastUsedAgent), optional(it.DisabledBecause), optional(it.Attestation)
		m.Quota = readQuota(it.Quota)
		m.RateLimit = types.ObjectNull(rateTypes)
		if rate := it.RateLimit; rate != nil {
			m.RateLimit = types.ObjectValueMust(rateTypes, map[string]attr.Value{"requests": types.Int64Value(rate.Requests), "per": types.StringValue(rate.Per), "burst": types.Int64Value(rate.Burst)})
		}
		return err
	}}
}

type roleDataModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
}

func newRoleData() datasource.DataSource {
	return &data[roleDataModel]{name: "role", schema: schema.Schema{
		MarkdownDescription: "A role, built-in or of your own.", Attributes: either("description"),
	}, read: func(ctx context.Context, of *api.Of, m *roleDataModel) error {
		name, err := wanted(m.ID, m.Name)
		if err != nil {
			return err
		}
		it, err := roleID(ctx, of, name)
		m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), optional(it.Description)
		return err
	}}
}

type rolesDataModel struct {
	IDs map[string]types.String `tfsdk:"ids"`
}

func newRolesData() datasource.DataSource {
	return &data[rolesDataModel]{name: "roles", schema: schema.Schema{
		MarkdownDescription: "All roles that this token sees.",
		Attributes:          map[string]schema.Attribute{"ids": schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Their ids by their names."}},
	}, read: func(ctx context.Context, of *api.Of, m *rolesDataModel) error {
		roles, err := of.KnownRoles(ctx)
		m.IDs = map[string]types.String{}
		for _, it := range roles {
			m.IDs[it.Name] = types.StringValue(it.ID)
		}
		return err
	}}
}

func newProjectData() datasource.DataSource {
	return &data[roleDataModel]{name: "project", schema: schema.Schema{
		MarkdownDescription: "A project.", Attributes: either("description"),
	}, read: func(ctx context.Context, of *api.Of, m *roleDataModel) error {
		name, err := wanted(m.ID, m.Name)
		if err != nil {
			return err
		}
		it, err := findProject(ctx, of, name)
		m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), optional(it.Description)
		return err
	}}
}

type environmentDataModel struct {
	ID        types.String `tfsdk:"id"`
	Name      types.String `tfsdk:"name"`
	ProjectID types.String `tfsdk:"project_id"`
	ClusterID types.String `tfsdk:"cluster_id"`
	Mode      types.String `tfsdk:"mode"`
}

func newEnvironmentData() datasource.DataSource {
	attributes := either("cluster_id", "mode")
	attributes["project_id"] = schema.StringAttribute{Required: true}
	return &data[environmentDataModel]{name: "environment", schema: schema.Schema{
		MarkdownDescription: "An environment of a project.", Attributes: attributes,
	}, read: func(ctx context.Context, of *api.Of, m *environmentDataModel) error {
		name, err := wanted(m.ID, m.Name)
		if err != nil {
			return err
		}
		it, err := findEnvironment(ctx, of, m.ProjectID.ValueString(), name)
		m.ID, m.Name, m.ClusterID, m.Mode = types.StringValue(it.ID), types.StringValue(it.Name), types.StringValue(it.ClusterID), types.StringValue(it.Mode)
		return err
	}}
}

type clusterDataModel struct {
	ID            types.String `tfsdk:"id"`
	Name          types.String `tfsdk:"name"`
	Description   types.String `tfsdk:"description"`
	Region        types.String `tfsdk:"region"`
	CloudProvider types.String `tfsdk:"cloud_provider"`
}

func newClusterData() datasource.DataSource {
	return &data[clusterDataModel]{name: "cluster", schema: schema.Schema{
		MarkdownDescription: "A cluster.", Attributes: either("description", "region", "cloud_provider"),
	}, read: func(ctx context.Context, of *api.Of, m *clusterDataModel) error {
		name, err := wanted(m.ID, m.Name)
		if err != nil {
			return err
		}
		it, err := findCluster(ctx, of, name)
		m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), optional(it.Description)
		m.Region, m.CloudProvider = types.StringValue(it.Region), types.StringValue(it.CloudProvider)
		return err
	}}
}

type memberDataModel struct {
	Email    types.String `tfsdk:"email"`
	UserID   types.String `tfsdk:"user_id"`
	RoleID   types.String `tfsdk:"role_id"`
	RoleName types.String `tfsdk:"role_name"`
}

func newMemberData() datasource.DataSource {
	return &data[memberDataModel]{name: "member", schema: schema.Schema{
		MarkdownDescription: "A member of the organization, by address or id.",
		Attributes: map[string]schema.Attribute{
			"email":     schema.StringAttribute{Optional: true, Computed: true},
			"user_id":   schema.StringAttribute{Optional: true, Computed: true, MarkdownDescription: "The id by which the server knows the member."},
			"role_id":   schema.StringAttribute{Computed: true, MarkdownDescription: told["role_id"]},
			"role_name": schema.StringAttribute{Computed: true, MarkdownDescription: told["role_name"]},
		},
	}, read: func(ctx context.Context, of *api.Of, m *memberDataModel) error {
		if m.Email.IsNull() == m.UserID.IsNull() {
			return at("email", errors.New("say the `email` or the `user_id`"))
		}
		members, _, err := of.KnownMembers(ctx)
		if err != nil {
			return err
		}
		it, err := byName(members, m.Email.ValueString()+m.UserID.ValueString(), "member", func(it api.Member) (string, string) { return it.ID, it.Email })
		m.Email = same(m.Email, it.Email, sameAddress)
		m.UserID, m.RoleID, m.RoleName = types.StringValue(it.ID), types.StringValue(it.RoleID), types.StringValue(it.RoleName)
		return err
	}}
}

type permissionsDataModel struct {
	API    types.String `tfsdk:"api"`
	Routes types.Set    `tfsdk:"routes"`
	Own    types.Set    `tfsdk:"own"`
}

func newPermissionsData() datasource.DataSource {
	texts := func(what string) schema.SetAttribute {
		return schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: what}
	}
	return &data[permissionsDataModel]{name: "permissions", schema: schema.Schema{
		MarkdownDescription: "The permissions that there are: those of your APIs, and those of the provider's token.",
		Attributes: map[string]schema.Attribute{
			"api":    schema.StringAttribute{Optional: true, MarkdownDescription: "Only this one of your APIs, by name."},
			"routes": texts("What the routes of your APIs need: what a `tokenward_role` can be given."),
			"own":    texts("What the provider's token holds, and so can give away."),
		},
	}, read: func(ctx context.Context, of *api.Of, m *permissionsDataModel) error {
		all, err := of.APIs(ctx)
		if err != nil {
			return err
		}
		if !m.API.IsNull() {
			one, err := byName(all, m.API.ValueString(), "API", func(it api.API) (string, string) { return it.ID, it.Name })
			if err != nil {
				return err
			}
			all = []api.API{one}
		}
		var needed []string
		for _, it := range all {
			whole, err := of.API(ctx, it.Name)
			if err != nil {
				return err
			}
			for _, route := range whole.Routes {
				needed = append(needed, slices.Concat(append(route.AnyOf, route.Permissions)...)...)
			}
		}
		self, err := of.Self(ctx)
		if err != nil {
			return err
		}
		slices.Sort(needed)
		none := types.SetUnknown(types.StringType)
		m.Routes, m.Own = textSet(slices.Compact(needed), none), textSet(self.Permissions, none)
		return nil
	}}
}

type decisionDataModel struct {
	TokenID    types.String `tfsdk:"token_id"`
	PolicyID   types.String `tfsdk:"policy_token_id"`
	Role       types.String `tfsdk:"role"`
	Permission types.String `tfsdk:"permission"`
	API        types.String `tfsdk:"api"`
	Method     types.String `tfsdk:"method"`
	Path       types.String `tfsdk:"path"`
	Body       types.String `tfsdk:"body"`
	Gateway    types.Bool   `tfsdk:"gateway"`
	RemoteIP   types.String `tfsdk:"remote_ip"`
	Allowed    types.Bool   `tfsdk:"allowed"`
	Code       types.String `tfsdk:"code"`
	Missing    types.String `tfsdk:"missing_permission"`
	Detail     types.String `tfsdk:"detail"`
}

func newDecisionData() datasource.DataSource {
	return &data[decisionDataModel]{name: "decision", schema: schema.Schema{
		MarkdownDescription: "What a token, or any token of a role, would be answered, for `check` blocks: by id, and never by a secret.",
		Attributes: map[string]schema.Attribute{
			"token_id":           schema.StringAttribute{Optional: true, MarkdownDescription: "The token that is asked about."},
			"policy_token_id":    schema.StringAttribute{Optional: true, MarkdownDescription: "Or the policy token: its policy and its role are asked about a request with `method` and `path`. Without `api` and `gateway` it is one to Tokenward itself. Only who manages policies (the role `admin`) can ask this."},
			"role":               schema.StringAttribute{Optional: true, MarkdownDescription: "Or the role, by name or id; with `permission`, or with `api`, `method` and `path`. Only who manages policies (the role `admin`) can ask this."},
			"permission":         schema.StringAttribute{Optional: true, MarkdownDescription: "A permission, such as `invoices:read`."},
			"api":                schema.StringAttribute{Optional: true, MarkdownDescription: "An API of the organization; with `method` and `path`."},
			"method":             schema.StringAttribute{Optional: true, MarkdownDescription: "The method of the request."},
			"path":               schema.StringAttribute{Optional: true, MarkdownDescription: "The path of the request, as a client sends it."},
			"body":               schema.StringAttribute{Optional: true, MarkdownDescription: "The body of the request, for a policy; empty where it has none. A policy that asks for a body which is not said denies."},
			"gateway":            schema.BoolAttribute{Optional: true, MarkdownDescription: "Whether the request goes to an API of yours behind a gateway, for a policy. With `api` it does."},
			"remote_ip":          schema.StringAttribute{Optional: true, MarkdownDescription: "From where; without it a token that is bound to networks is refused."},
			"allowed":            schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it may."},
			"code":               schema.StringAttribute{Computed: true, MarkdownDescription: "`valid`, or why not; null where a role is denied."},
			"missing_permission": schema.StringAttribute{Computed: true, MarkdownDescription: "What its role lacks, or, with `scope_denied`, what its role has and it is narrowed away from; null where that is not why."},
			"detail":             schema.StringAttribute{Computed: true, MarkdownDescription: "The same in a sentence."},
		},
	}, read: func(ctx context.Context, of *api.Of, m *decisionDataModel) error {
		said := 0
		for _, one := range []types.String{m.TokenID, m.PolicyID, m.Role} {
			if !one.IsNull() {
				said++
			}
		}
		if said != 1 {
			return at("token_id", errors.New("say whose decision it is: `token_id`, `policy_token_id` or `role`"))
		}
		for name, id := range map[string]types.String{"token_id": m.TokenID, "policy_token_id": m.PolicyID} {
			if !id.IsNull() && !uuidForm.MatchString(id.ValueString()) {
				// It would stand in the address of a request, and may be a secret.
				return at(name, errors.New("this is no id of a token, and was not sent: a decision is asked for by `tokenward_token.ci.id`, never by the text of a token"))
			}
		}
		ofPolicy := !m.PolicyID.IsNull()
		for name, given := range map[string]bool{"body": !m.Body.IsNull(), "gateway": !m.Gateway.IsNull()} {
			if given && !ofPolicy {
				return at(name, errors.New("only a policy looks at it: it goes with `policy_token_id`"))
			}
		}
		if !m.Role.IsNull() {
			return m.ofRole(ctx, of)
		}
		if ofPolicy && (m.Method.IsNull() || m.Path.IsNull()) {
			return at("path", errors.New("a policy is asked about a request: say its `method` and `path`"))
		}
		question := api.Fields{}
		for name, value := range map[string]types.String{"permission": m.Permission, "api": m.API, "remote_ip": m.RemoteIP} {
			if !value.IsNull() {
				question[name] = value.ValueString()
			}
		}
		if !m.Method.IsNull() || !m.Path.IsNull() {
			request := api.Fields{"method": m.Method.ValueString(), "path": m.Path.ValueString()}
			if !m.Body.IsNull() {
				request["body"] = m.Body.ValueString()
			}
			if !m.Gateway.IsNull() {
				request["gateway"] = m.Gateway.ValueBool()
			}
			question["request"] = request
		}
		decide, id := of.Decide, m.TokenID
		if ofPolicy {
			decide, id = of.DecideOfPolicyToken, m.PolicyID
		}
		it, err := decide(ctx, id.ValueString(), question)
		m.Allowed, m.Code, m.Missing, m.Detail = types.BoolValue(it.Valid), types.StringValue(it.Code), optional(it.MissingPermission), optional(it.Sentence)
		return err
	}}
}

// ofRole asks about a token that there is not yet: one that lives, is bound to nothing, and has this role.
func (m *decisionDataModel) ofRole(ctx context.Context, of *api.Of) error {
	request := !m.API.IsNull() && !m.Method.IsNull() && !m.Path.IsNull()
	some := !m.API.IsNull() || !m.Method.IsNull() || !m.Path.IsNull()
	if request == !m.Permission.IsNull() || some != request || !m.RemoteIP.IsNull() {
		return at("role", errors.New("a role is asked about a `permission`, or about a request with `api`, `method` and `path`; nothing else counts"))
	}
	role, err := roleID(ctx, of, m.Role.ValueString())
	if err != nil {
		return err
	}
	asked := api.Fields{"permission": m.Permission.ValueString()}
	if request {
		asked = api.Fields{"api": m.API.ValueString(), "method": m.Method.ValueString(), "path": m.Path.ValueString()}
	}
	it, err := of.DecideOfRole(ctx, role.ID, asked)
	m.Allowed, m.Code, m.Missing, m.Detail = types.BoolValue(it.Allowed), types.StringNull(), types.StringNull(), optional(it.Detail)
	if it.Allowed {
		m.Code = types.StringValue("valid")
	}
	return err
}
