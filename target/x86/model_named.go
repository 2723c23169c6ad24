package x86

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate go run goemu/internal/tools/cpumodels -o models_gen.go

// namedModel is a row of the table of named models: an alias, or a model with its features by name.
type namedModel struct {
	name, alias             string
	notes, vendor, modelID  string
	family, model, stepping int
	level, xlevel           uint32
	features                string
}

// expand makes the Model of a row.
func (n *namedModel) expand() *Model {
	m := &Model{Name: n.name, Notes: n.notes, Vendor: n.vendor, Family: n.family, Model: n.model, Stepping: n.stepping,
		Level: n.level, XLevel: n.xlevel, ModelID: n.modelID}
	for f := range strings.FieldsSeq(n.features) {
		if b, ok := FeatureByName(f); ok {
			m.Features.Set(b, true)
		}
	}
	return m
}

// findNamed looks a row up, following aliases.
func findNamed(name string) *Model {
	for i := range namedModels {
		if n := &namedModels[i]; n.name == name {
			if n.alias != "" {
				return findNamed(n.alias)
			}
			return n.expand()
		}
	}
	return nil
}

// ModelsHelp is the answer to -cpu help.
func ModelsHelp() string {
	var b strings.Builder
	b.WriteString("Available CPUs:\n")
	line := func(name, note string) { fmt.Fprintf(&b, "x86 %-20s  %s\n", name, note) }
	for _, n := range namedModels {
		switch {
		case n.alias == n.name+"-v1":
			line(n.name, "(alias configured by machine type)")
		case n.alias != "":
			line(n.name, "(alias of "+n.alias+")")
		default:
			line(n.name, n.notes)
		}
	}
	line(HostModel, "processor with all supported host features")
	line("max", FindModel("max").Notes)
	b.WriteString("\nRecognized CPUID flags:\n")
	var names []string
	for _, w := range Words {
		for _, n := range w.Names {
			if n != "" {
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	for col := 0; len(names) > 0; names = names[1:] {
		if col > 0 && col+1+len(names[0]) > 77 {
			b.WriteByte('\n')
			col = 0
		}
		if col == 0 {
			b.WriteByte(' ')
			col = 1
		}
		b.WriteString(" " + names[0])
		col += 1 + len(names[0])
	}
	b.WriteByte('\n')
	return b.String()
}
