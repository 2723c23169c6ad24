package driver

import (
	"context"
	"errors"
	"fmt"

	"goemu/block"
	"goemu/qapi"
)

// options turns a flat set of text options into a node's.
func (d Dict) options() *block.Options {
	o := block.NewOptions()
	for k, v := range d {
		o.Set(k, v)
	}
	return o
}

// AddBlockdev opens a node as -blockdev says, in either syntax.
func (s *Drives) AddBlockdev(text string) error {
	const kind = "BlockdevOptions"
	given, err := qapi.ParseOption(kind, text, "driver")
	if err != nil {
		return err
	}
	if err := qapi.Decode(kind, given, nil); err != nil {
		return err
	}
	o := block.OptionsFromJSON(given.Map())
	name, ok := o.Get("node-name")
	if !ok || name == "" {
		return errors.New("'node-name' must be specified for the root node")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	_, err = s.AddNode(context.Background(), o)
	return err
}

// unexpected puts an option that is left over into the words of the schema's check.
func unexpected(err error) error {
	var e *block.LeftoverError
	if errors.As(err, &e) {
		return fmt.Errorf("Parameter '%s' is unexpected", e.Path)
	}
	return err
}
