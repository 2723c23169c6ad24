package chardevcmd

import (
	"context"

	"goemu/qapi"
)

// Cutter is a kind of connections that yank cuts off.
type Cutter interface {
	// Cuttable lists what can be cut off.
	Cuttable() []*qapi.YankInstance
	// Cut cuts one of them off; false if it is not there.
	Cut(*qapi.YankInstance) bool
}

// sockets cuts character devices.
type sockets struct{ *Service }

// Cuttable implements Cutter.
func (s sockets) Cuttable() (list []*qapi.YankInstance) {
	for _, b := range s.Chardevs.All() {
		if b.IsSocket() {
			list = append(list, &qapi.YankInstance{Type: qapi.YankInstanceTypeChardev, Chardev: &qapi.YankInstanceChardev{Id: b.ID}})
		}
	}
	return list
}

// Cut implements Cutter.
func (s sockets) Cut(i *qapi.YankInstance) bool {
	b, ok := s.Chardevs.Find(i.Chardev.Id)
	return ok && b.Yank()
}

// cutters lists everything that knows how to cut.
func (s *Service) cutters() []Cutter { return append([]Cutter{sockets{s}}, s.Cutters...) }

// find returns what cuts an instance, nil if it is not there.
func (s *Service) find(i *qapi.YankInstance) Cutter {
	text := string(qapi.AppendJSON(nil, i))
	for _, c := range s.cutters() {
		for _, have := range c.Cuttable() {
			if string(qapi.AppendJSON(nil, have)) == text {
				return c
			}
		}
	}
	return nil
}

var errNotThere = &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: "Instance not found"}

// Yank implements qapi.YankCommands.
func (s *Service) Yank(_ context.Context, arg *qapi.YankArg) error {
	for _, i := range arg.Instances {
		if s.find(i) == nil {
			return errNotThere
		}
	}
	for _, i := range arg.Instances {
		if c := s.find(i); c == nil || !c.Cut(i) {
			return errNotThere
		}
	}
	return nil
}

// QueryYank implements qapi.YankCommands.
func (s *Service) QueryYank(context.Context) ([]*qapi.YankInstance, error) {
	list := []*qapi.YankInstance{}
	for _, c := range s.cutters() {
		list = append(list, c.Cuttable()...)
	}
	return list, nil
}
