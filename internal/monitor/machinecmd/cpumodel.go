package machinecmd

import (
	"context"
	"fmt"

	"goemu/qapi"
	"goemu/target/x86"
)

// QueryCpuDefinitions implements qapi.MachineTargetCommands.
func (s *Service) QueryCpuDefinitions(context.Context) (list []*qapi.CpuDefinitionInfo, err error) {
	for _, n := range x86.ModelNames(s.Host) {
		m := s.find(n.Name)
		_, missing := x86.NewConfig(m, s.supported())
		safe := !m.AllFeatures
		d := &qapi.CpuDefinitionInfo{Name: n.Name, Typename: n.Name + x86.TypeSuffix, MigrationSafe: &safe, UnavailableFeatures: missing.Names()}
		if d.UnavailableFeatures == nil {
			d.UnavailableFeatures = []string{}
		}
		if n.Alias != "" {
			d.AliasOf = &n.Alias
		}
		list = append(list, d)
	}
	return list, nil
}

// staticModel is the model without features to which static expansions add what there is.
const staticModel = "base"

// staticProps are the properties of static expansions beside features.
var staticProps = map[string]bool{"family": true, "model": true, "stepping": true, "vendor": true, "model-id": true}

// QueryCpuModelExpansion implements qapi.MachineTargetCommands.
func (s *Service) QueryCpuModelExpansion(_ context.Context, arg *qapi.QueryCpuModelExpansionArg) (*qapi.CpuModelExpansionInfo, error) {
	cfg, err := s.model(arg.Model)
	if err != nil {
		return nil, err
	}
	props, features := qapi.NewObject(), cfg.Wanted()
	full := arg.Type == qapi.CpuModelExpansionTypeFull
	names := x86.FeatureNames()
	if full {
		names = append(names, x86.FeatureAliases()...)
	}
	for _, name := range names {
		f, _ := x86.FeatureByName(name)
		props.Set(name, features.Has(f))
	}
	for _, p := range cfg.Properties() {
		if full || staticProps[p.Name] {
			props.Set(p.Name, p.Value)
		}
	}
	props.Set("min-level", uint64(cfg.Level))
	props.Set("min-xlevel", uint64(cfg.XLevel))
	out := &qapi.CpuModelInfo{Name: staticModel, Props: props}
	if full {
		out.Name = arg.Model.Name
	}
	return &qapi.CpuModelExpansionInfo{Model: out}, nil
}

// model makes what a client describes.
func (s *Service) model(info *qapi.CpuModelInfo) (*x86.Config, error) {
	if s.find(info.Name) == nil {
		return nil, qapi.Errorf("CPU model '%s' not found", info.Name)
	}
	option := info.Name
	if info.Props != nil {
		o, ok := info.Props.(*qapi.Object)
		if !ok {
			return nil, qapi.Errorf("Invalid parameter type for 'model.props', expected: object")
		}
		for name, v := range o.All() {
			if b, isBool := v.(bool); isBool {
				v = map[bool]string{true: "on", false: "off"}[b]
			}
			option += fmt.Sprintf(",%s=%v", name, v)
		}
	}
	cfg, _, err := s.parse(option)
	return cfg, err
}

// find, supported and parse ask the host's processor, or the translator if there is none.
func (s *Service) find(name string) *x86.Model {
	if s.Host != nil {
		return s.Host.Find(name)
	}
	return x86.FindModel(name)
}

func (s *Service) supported() *x86.Features {
	if s.Host != nil {
		return &s.Host.Features
	}
	return &x86.TCGFeatures
}

func (s *Service) parse(option string) (*x86.Config, []string, error) {
	if s.Host != nil {
		return x86.ParseHostOption(option, s.Host)
	}
	return x86.ParseOption(option, &x86.TCGFeatures, "TCG")
}
