package main

import (
	"fmt"

	"goemu/hw/qdev"
	"goemu/internal/config"
)

// objects are the user-created objects (-object).
type objects struct{}

func (objects) create(list []config.Options) error {
	for _, o := range list {
		typ, _ := o.Get("qom-type")
		return at(o.Origin, fmt.Errorf("Parameter 'qom-type' does not accept value '%s'", typ))
	}
	return nil
}

func (objects) links(*qdev.Links) {}

func objectNames() []string { return nil }

func objectHelp(typ string) (string, error) {
	return "", fmt.Errorf("-object %s,help: Parameter 'qom-type' does not accept value '%s'", typ, typ)
}
