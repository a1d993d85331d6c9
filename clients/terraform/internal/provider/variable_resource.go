package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type variableResource struct{ managed }

func newVariableResource() resource.Resource { return &variableResource{} }

var (
	_ resource.ResourceWithImportState    = (*variableResource)(nil)
	_ resource.ResourceWithValidateConfig = (*variableResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*variableResource)(nil)
)

type variableModel struct {
	ID              types.String `tfsdk:"id"`
	ProjectID       types.String `tfsdk:"project_id"`
	EnvironmentID   types.String `tfsdk:"environment_id"`
	Key             types.String `tfsdk:"key"`
	Value           types.String `tfsdk:"value"`
	SecretWO        types.String `tfsdk:"secret_wo"`
	SecretWOVersion types.Int64  `tfsdk:"secret_wo_version"`
	Description     types.String `tfsdk:"description"`
}

func (r *variableResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_variable"
}

func (r *variableResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	replaces := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	response.Schema = schema.Schema{
		MarkdownDescription: "A variable of a project or an environment: with a `value` that everybody may see, or a secret that the state never has.",
		Attributes: map[string]schema.Attribute{
			"id":                idAttribute(),
			"project_id":        schema.StringAttribute{Optional: true, PlanModifiers: replaces},
			"environment_id":    schema.StringAttribute{Optional: true, PlanModifiers: replaces},
			"key":               schema.StringAttribute{Required: true},
			"value":             schema.StringAttribute{Optional: true, MarkdownDescription: "What everybody may see who sees the variable."},
			"secret_wo":         schema.StringAttribute{Optional: true, WriteOnly: true, Sensitive: true, MarkdownDescription: "The value of a secret, from an ephemeral value."},
			"secret_wo_version": schema.Int64Attribute{Optional: true, MarkdownDescription: "Another number writes the `secret_wo` of that run."},
			"description":       schema.StringAttribute{Optional: true},
		},
	}
}

func (r *variableResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config variableModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	if config.ProjectID.IsNull() == config.EnvironmentID.IsNull() {
		response.Diagnostics.AddAttributeError(path.Root("project_id"), "A variable belongs to one thing", "Say `project_id` or `environment_id`.")
	}
	if config.Value.IsNull() == config.SecretWO.IsNull() {
		response.Diagnostics.AddAttributeError(path.Root("value"), "A variable has one value", "Say `value`, or `secret_wo` with `secret_wo_version`.")
	}
	if config.SecretWO.IsNull() != config.SecretWOVersion.IsNull() {
		response.Diagnostics.AddAttributeError(path.Root("secret_wo_version"), "`secret_wo` and `secret_wo_version` go together", "A new secret without a new version changes nothing, and nobody could see it.")
	}
}

func (m variableModel) isSecret() bool { return m.Value.IsNull() }

func (m variableModel) place() api.Place {
	if !m.EnvironmentID.IsNull() {
		return api.Place{Scope: "environment", ID: m.EnvironmentID.ValueString()}
	}
	return api.Place{Scope: "project", ID: m.ProjectID.ValueString()}
}

// A value that everybody sees does not become a secret by an edit: somebody has seen it.
func (r *variableResource) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Plan.Raw.IsNull() || request.State.Raw.IsNull() {
		return
	}
	var plan, state variableModel
	if take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}) && plan.isSecret() != state.isSecret() {
		response.RequiresReplace = append(response.RequiresReplace, path.Root("value"))
	}
}

// isAlready says whether a variable that is there is what is wanted, as far as anybody can see: the value of a secret is shown to nobody.
func (m variableModel) isAlready(there api.Variable) bool {
	now := m
	now.read(there)
	return now.Description.Equal(m.Description) && now.Value.Equal(m.Value)
}

func (m *variableModel) read(it api.Variable) {
	m.ID, m.Key, m.Description = types.StringValue(it.ID), types.StringValue(it.Key), describe(m.Description, it.Description)
	if !it.IsSecret && it.Value != nil {
		m.Value = types.StringValue(*it.Value)
	}
}

func (r *variableResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan, config variableModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	fields := api.Fields{"key": plan.Key.ValueString(), "value": plan.Value.ValueString()}
	if plan.isSecret() {
		fields["value"] = config.SecretWO.ValueString()
	}
	if !plan.Description.IsNull() {
		fields["description"] = plan.Description.ValueString()
	}
	// A variable takes the place of one with its key: whose that is must be known before.
	there, err := r.of.Variables(ctx, plan.place(), plan.isSecret())
	for _, one := range there {
		if one.Key == plan.Key.ValueString() && !(plan.isAlready(one) && r.of.Interrupted(ctx, one.ID)) {
			err = taken(fmt.Errorf("there is a variable `%s` already.", one.Key), one.ID)
		}
	}
	var it api.Variable
	if err == nil {
		it, err = r.of.CreateVariable(ctx, plan.place(), plan.isSecret(), fields)
	}
	if err != nil {
		tell(&response.Diagnostics, "The variable cannot be made", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *variableResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state variableModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	// After an import it is not known yet which of both it is.
	kinds := []bool{state.isSecret()}
	if state.Key.IsNull() {
		kinds = []bool{false, true}
	}
	it, err := r.known(ctx, state, kinds...)
	if err != nil {
		r.unread(ctx, response, "variable", err)
		return
	}
	state.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

// known is a variable of the state as it was since this run last wrote something, among those of these kinds: secrets or not.
func (r *variableResource) known(ctx context.Context, state variableModel, kinds ...bool) (api.Variable, error) {
	for _, secret := range kinds {
		all, err := r.of.KnownVariables(ctx, state.place(), secret)
		if err != nil {
			return api.Variable{}, err
		}
		for _, it := range all {
			if it.ID == state.ID.ValueString() {
				return it, nil
			}
		}
	}
	return api.Variable{}, api.Absent("variable")
}

func (r *variableResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state, config variableModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}, sent{request.Config, &config}) {
		return
	}
	rewritten := plan.isSecret() && !state.SecretWOVersion.IsNull() && !plan.SecretWOVersion.Equal(state.SecretWOVersion)
	if !rewritten && plan.Key.Equal(state.Key) && plan.Description.Equal(state.Description) && plan.Value.Equal(state.Value) {
		// What only the configuration knows is adopted after an import, and nobody is asked.
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	fields := api.Fields{"key": plan.Key.ValueString()}
	if !plan.Description.Equal(state.Description) {
		fields["description"] = nil
		if !plan.Description.IsNull() {
			fields["description"] = plan.Description.ValueString()
		}
	}
	switch {
	case !plan.isSecret():
		fields["value"] = plan.Value.ValueString()
	case rewritten:
		fields["value"] = config.SecretWO.ValueString()
	}
	it, err := r.known(ctx, state, plan.isSecret())
	if err == nil {
		it, err = r.of.EditVariable(ctx, plan.place(), plan.isSecret(), it.ID, it.ETag, fields)
	}
	if err != nil {
		tell(&response.Diagnostics, "The variable cannot be changed", err)
		return
	}
	plan.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *variableResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state variableModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	r.deleted(ctx, response, "variable", r.of.DeleteVariable(ctx, state.place(), state.isSecret(), state.ID.ValueString()))
}

func (r *variableResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	found, err := named(r.of, request.ID, func(wanted string) (variableModel, error) { return r.named(ctx, wanted) })
	if err != nil {
		tell(&response.Diagnostics, "The variable cannot be imported", err)
		return
	}
	for name, value := range map[string]types.String{"id": found.ID, "project_id": found.ProjectID, "environment_id": found.EnvironmentID} {
		response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root(name), value)...)
	}
}

// named finds a variable by PROJECT/KEY or PROJECT/ENVIRONMENT/KEY. A key has no slash.
func (r *variableResource) named(ctx context.Context, wanted string) (variableModel, error) {
	at := strings.LastIndexByte(wanted, '/')
	if at < 0 {
		return variableModel{}, fmt.Errorf("write PROJECT/KEY, or PROJECT/ENVIRONMENT/KEY")
	}
	in, key := wanted[:at], wanted[at+1:]
	var found variableModel
	if project, is := r.of.Named(ctx, in); is {
		found.ProjectID = types.StringValue(project)
	} else if environment, is := r.of.NamedEnvironment(ctx, in); is {
		found.EnvironmentID = types.StringValue(environment)
	} else {
		return variableModel{}, fmt.Errorf("there is no project and no environment `%s`, or this token may not see it", in)
	}
	for _, secret := range []bool{false, true} {
		all, err := r.of.KnownVariables(ctx, found.place(), secret)
		if err != nil {
			return variableModel{}, err
		}
		for _, it := range all {
			if it.Key == key {
				found.ID = types.StringValue(it.ID)
				return found, nil
			}
		}
	}
	return variableModel{}, fmt.Errorf("there is no variable `%s` there, or this token may not see it", key)
}
