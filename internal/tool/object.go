package tool

import (
	"fmt"
	"slices"
	"strings"

	"goemu/block"
	"goemu/internal/config"
)

// Objects makes user-creatable objects, by their type.
type Objects map[string]func(id string, o *block.Options) error

// AddObject makes the object of an --object option. done is true when nothing is left to do for the tool: help was asked for, or the object
// cannot be made; status is then its exit status.
func (t *Tool) AddObject(text string) (done bool, status int) { return t.AddObjectAt("", text) }

// AddObjectAt is AddObject with a prefix for messages.
func (t *Tool) AddObjectAt(where, text string) (done bool, status int) {
	elem, _, _ := config.CutElement(text)
	if elem == "help" || HasHelp(text) {
		t.Printf("List of user creatable objects:\n")
		var names []string
		for name := range t.Objects {
			names = append(names, name)
		}
		slices.Sort(names)
		t.Printf("  %s\n", strings.Join(names, "\n  "))
		return true, 0
	}
	if err := t.addObject(text); err != nil {
		t.Report(where, err)
		return true, 1
	}
	return false, 0
}

func (t *Tool) addObject(text string) error {
	var o *block.Options
	if strings.HasPrefix(text, "{") {
		v, err := block.DecodeJSON(text)
		if err != nil {
			return err
		}
		m, _ := v.(map[string]any)
		o = block.OptionsFromJSON(m)
	} else {
		pairs, _ := splitOptions(text, "qom-type", nil)
		o = block.NewOptions()
		for _, p := range pairs {
			o.Set(p.name, p.value)
		}
	}
	kind, ok := o.TakeString("qom-type")
	if !ok {
		return fmt.Errorf("Parameter 'qom-type' is missing")
	}
	id, ok := o.TakeString("id")
	if !ok {
		return fmt.Errorf("Parameter 'id' is missing")
	}
	f := t.Objects[kind]
	if f == nil {
		return fmt.Errorf("Parameter 'qom-type' does not accept value '%s'", kind)
	}
	if err := f(id, o); err != nil {
		return err
	}
	if names := o.Names(); len(names) > 0 {
		return fmt.Errorf("Parameter '%s' is unexpected", names[0])
	}
	return nil
}
