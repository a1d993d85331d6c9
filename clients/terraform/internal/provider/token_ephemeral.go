package provider

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

const (
	// How long one lives that says nothing else, and at most, however often it is renewed.
	usualLife   = 15 * time.Minute
	longestLife = 24 * time.Hour
	private     = "token"
)

type ephemeralToken struct{ of *api.Of }

func newEphemeralToken() ephemeral.EphemeralResource { return &ephemeralToken{} }

var (
	_ ephemeral.EphemeralResourceWithConfigure = (*ephemeralToken)(nil)
	_ ephemeral.EphemeralResourceWithRenew     = (*ephemeralToken)(nil)
	_ ephemeral.EphemeralResourceWithClose     = (*ephemeralToken)(nil)
)

type ephemeralModel struct {
	NamePrefix   types.String `tfsdk:"name_prefix"`
	Description  types.String `tfsdk:"description"`
	Role         types.String `tfsdk:"role"`
	ExpiresIn    types.String `tfsdk:"expires_in"`
	Networks     types.Set    `tfsdk:"networks"`
	Permissions  types.Set    `tfsdk:"permissions"`
	Projects     types.Set    `tfsdk:"projects"`
	Environments types.Set    `tfsdk:"environments"`
	Labels       types.Map    `tfsdk:"labels"`
	ID           types.String `tfsdk:"id"`
	Name         types.String `tfsdk:"name"`
	Token        types.String `tfsdk:"token"`
	ExpiresAt    types.String `tfsdk:"expires_at"`
}

// open is what renewing and closing need: nothing of it is a secret.
type open struct {
	ID    string        `json:"id"`
	Life  time.Duration `json:"life"`
	Until time.Time     `json:"until"`
}

func (e *ephemeralToken) Metadata(_ context.Context, _ ephemeral.MetadataRequest, response *ephemeral.MetadataResponse) {
	response.TypeName = "tokenward_token"
}

func (e *ephemeralToken) Schema(_ context.Context, _ ephemeral.SchemaRequest, response *ephemeral.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "A token for this run alone: made when it is opened, in the plan and in the apply, and **taken back when it is closed**. What must outlive the run is a resource `tokenward_token` with `secret_wo`.",
		Attributes: map[string]schema.Attribute{
			"name_prefix": schema.StringAttribute{Optional: true, MarkdownDescription: "The beginning of its name; `run-` where nothing is said."},
			"role":        schema.StringAttribute{Required: true, MarkdownDescription: "The role that it acts as, by name or id."},
			"expires_in":  schema.StringAttribute{Optional: true, MarkdownDescription: "How long it lives should nobody be left to take it back: `15m` where nothing is said, `24h` at most. It is renewed while the run goes on."},
			"description": schema.StringAttribute{Optional: true},
			"networks":    schema.SetAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "The networks from which it is accepted. What stands behind a space is a note."},
			"permissions": schema.SetAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "The permissions of its role that it is narrowed to; all of the role where nothing is said."},
			"projects": schema.SetAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "The projects, by name or id, that it is narrowed to, with all that is in them; wherever its role is where neither these nor `environments` are said."},
			"environments": schema.SetAttribute{Optional: true, ElementType: types.StringType,
				MarkdownDescription: "The environments that it is narrowed to besides, by id or as `PROJECT/ENVIRONMENT`."},
			"labels":     schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Words by which it is found, such as `{ run = var.run }`."},
			"id":         schema.StringAttribute{Computed: true},
			"name":       schema.StringAttribute{Computed: true},
			"token":      schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The secret."},
			"expires_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When it ends by itself, where nobody renews it."},
		},
	}
}

func (e *ephemeralToken) Configure(_ context.Context, request ephemeral.ConfigureRequest, response *ephemeral.ConfigureResponse) {
	configured(request.ProviderData, &e.of, &response.Diagnostics)
}

func (e *ephemeralToken) Open(ctx context.Context, request ephemeral.OpenRequest, response *ephemeral.OpenResponse) {
	var model ephemeralModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &model}) {
		return
	}
	lives := usualLife
	if !model.ExpiresIn.IsNull() {
		given, known := life(model.ExpiresIn.ValueString())
		if !known || given < time.Minute || given > longestLife {
			response.Diagnostics.AddAttributeError(path.Root("expires_in"), "This is no life of a token", "Write a length such as 15m, from 1m to 24h.")
			return
		}
		lives = given
	}
	role, err := roleID(ctx, e.of, model.Role.ValueString())
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The token cannot be made", err.Error())
		return
	}
	prefix := model.NamePrefix.ValueString()
	if prefix == "" {
		prefix = "run-"
	}
	now := e.of.Now()
	fields := api.Fields{"name": prefix + api.Random(5), "role_id": role.ID, "expires_at": now.Add(lives).UTC().Format(time.RFC3339)}
	if networks := texts(ctx, model.Networks, &response.Diagnostics); len(networks) > 0 {
		fields["networks"] = networksOf(networks)
	}
	if !model.Permissions.IsNull() {
		// An empty list is refused, and never taken for all of the role.
		fields["permissions"] = texts(ctx, model.Permissions, &response.Diagnostics)
	}
	of := managed{e.of}
	for name, places := range map[string]types.Set{"projects": model.Projects, "environments": model.Environments} {
		if !places.IsNull() {
			fields[name] = of.placeIDs(ctx, name, places, &response.Diagnostics)
		}
	}
	if !model.Description.IsNull() {
		fields["description"] = model.Description.ValueString()
	}
	if labels := labelsOf(ctx, model.Labels, &response.Diagnostics); len(labels) > 0 {
		fields["labels"] = labels
	}
	if response.Diagnostics.HasError() {
		return
	}
	token, err := e.of.CreateToken(ctx, fields)
	if err != nil {
		tell(&response.Diagnostics, "The token cannot be made", err)
		return
	}
	runs.open(token.ID, e.of)
	model.ID, model.Name, model.Token = types.StringValue(token.ID), types.StringValue(token.Name), types.StringValue(token.Text)
	model.ExpiresAt = moment(types.StringNull(), token.ExpiresAt)
	response.Diagnostics.Append(response.Result.Set(ctx, model)...)
	kept, err := json.Marshal(open{token.ID, lives, now.Add(longestLife)})
	if err != nil {
		response.Diagnostics.AddError("The token cannot be remembered", err.Error())
		return
	}
	response.Diagnostics.Append(response.Private.SetKey(ctx, private, kept)...)
	if lives < longestLife {
		response.RenewAt = time.Now().Add(lives / 2)
	}
}

// keeper is the private data of a request, whichever it is.
type keeper interface {
	GetKey(context.Context, string) ([]byte, diag.Diagnostics)
}

// opened is false where a core did not give back what it was given to keep: nobody knows then which token it was, and a person
// has to be told.
func opened(ctx context.Context, kept keeper, summary string, diagnostics *diag.Diagnostics) (open, bool) {
	var it open
	text, problems := kept.GetKey(ctx, private)
	diagnostics.Append(problems...)
	if problems.HasError() || json.Unmarshal(text, &it) != nil || it.ID == "" {
		diagnostics.AddWarning(summary, "The core did not give back what the provider had it keep, so that nobody knows which token it is. "+
			"It ends by itself; `tokenward token list` shows it, by its `name_prefix`, and `tokenward token delete` takes it back at once.")
		return open{}, false
	}
	return it, true
}

// What people are told that cannot be done at the end of a run, and in its middle.
const (
	notRenewed   = "The token of this run cannot be renewed"
	notTakenBack = "The token of this run could not be taken back"
)

func (e *ephemeralToken) Renew(ctx context.Context, request ephemeral.RenewRequest, response *ephemeral.RenewResponse) {
	it, known := opened(ctx, request.Private, notRenewed, &response.Diagnostics)
	if !known {
		return
	}
	now := e.of.Now()
	end := now.Add(it.Life)
	if end.After(it.Until) {
		end = it.Until
	}
	if _, err := e.of.EditToken(ctx, it.ID, "", api.Fields{"expires_at": end.UTC().Format(time.RFC3339)}); err != nil {
		response.Diagnostics.AddWarning(notRenewed, err.Error())
		if !api.Refused(err) {
			// A server that is away for a moment is asked again while the token still lives.
			response.RenewAt = time.Now().Add(it.Life / 8)
		}
		return
	}
	if end.Before(it.Until) {
		response.RenewAt = time.Now().Add(it.Life / 2)
	}
}

func (e *ephemeralToken) Close(ctx context.Context, request ephemeral.CloseRequest, response *ephemeral.CloseResponse) {
	it, known := opened(ctx, request.Private, notTakenBack, &response.Diagnostics)
	if !known {
		return
	}
	// One that has ended already, or was deleted, is what was wanted.
	if err := e.of.DeleteToken(ctx, it.ID); err != nil && !api.NotFound(err) {
		response.Diagnostics.AddWarning(notTakenBack, err.Error()+" It ends by itself.")
		return
	}
	runs.closed(it.ID)
}

// openRuns are the tokens of this run that the core has not closed. It closes none where something failed that used one.
type openRuns struct {
	mutex sync.Mutex
	of    map[string]*api.Of
}

var runs openRuns

func (r *openRuns) open(id string, of *api.Of) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.of == nil {
		r.of = map[string]*api.Of{}
	}
	r.of[id] = of
}

func (r *openRuns) closed(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.of, id)
}

// TakeBack takes back the tokens of a run that is over, as far as the core did not. It waits a moment for the provider to end.
func TakeBack() {
	ctx, cancel := context.WithTimeout(context.Background(), 1800*time.Millisecond)
	defer cancel()
	runs.mutex.Lock()
	defer runs.mutex.Unlock()
	var all sync.WaitGroup
	for id, of := range runs.of {
		// One that cannot be taken back now ends by itself, and nobody is left to be told.
		all.Go(func() { _ = of.DeleteToken(ctx, id) })
	}
	all.Wait()
}
