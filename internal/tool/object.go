package tool

import (
	"errors"
	"fmt"

	"goemu/internal/config"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// AddObject makes the object of an --object option. done is true when nothing is left to do for the tool: help was asked for, or the object
// cannot be made; status is then its exit status.
func (t *Tool) AddObject(text string) (done bool, status int) { return t.AddObjectAt("", text) }

// AddObjectAt is AddObject with a prefix for messages.
func (t *Tool) AddObjectAt(where, text string) (done bool, status int) {
	elem, _, _ := config.CutElement(text)
	if elem == "help" || HasHelp(text) {
		t.Printf("%s", t.objectHelp(elem))
		return true, 0
	}
	if err := t.addObject(text); err != nil {
		t.Report(where, err)
		return true, 1
	}
	return false, 0
}

// objectHelp tells about a type, or which types there are.
func (t *Tool) objectHelp(typ string) string {
	if k := t.Objects.Type(typ); k != nil {
		return k.Help()
	}
	text := "List of user creatable objects:\n"
	for _, k := range t.Objects.Types {
		text += fmt.Sprintf("  %s\n", k.Name)
	}
	return text
}

func (t *Tool) addObject(text string) error {
	o, err := qapi.ParseOption("ObjectOptions", text, "qom-type")
	if err == nil {
		err = qapi.Decode("ObjectOptions", o, nil)
	}
	if err == nil {
		err = t.Objects.Add(o)
	}
	if errors.Is(err, userobj.ErrID) {
		err = fmt.Errorf("%w\n%s", err, userobj.IDHint)
	}
	return err
}
