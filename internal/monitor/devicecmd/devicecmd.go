// Package devicecmd has the commands that add, remove and describe devices.
package devicecmd

import (
	"context"
	"fmt"
	"slices"

	"goemu/hw/qdev"
	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/qomcmd"
	"goemu/internal/qom"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	// Tree is the machine's devices, nil before it is made.
	Tree func() *qdev.Tree
	// Running tells whether that machine runs.
	Running  func() bool
	Registry *qdev.Registry
	Types    *qom.Types
	// Describe are the properties of a type beside those that its class in the registry has, if it has one.
	Describe func(typ string) []*qapi.ObjectPropertyInfo
}

// Properties are the properties that can be given for a device of a type.
func (s *Service) Properties(typ string) (list []*qapi.ObjectPropertyInfo) {
	more := s.Describe(typ)
	c := s.Registry.Lookup(typ)
	if c == nil {
		return more
	}
	for _, p := range qdev.Properties(c) {
		info := &qapi.ObjectPropertyInfo{Name: p.Name, Type: p.Type, DefaultValue: p.Value}
		if p.Help != "" {
			info.Description = &p.Help
		}
		list = append(list, info)
		more = slices.DeleteFunc(more, func(m *qapi.ObjectPropertyInfo) bool { return m.Name == p.Name })
	}
	return append(list, more...)
}

// DeviceListProperties implements qapi.QdevCommands.
func (s *Service) DeviceListProperties(_ context.Context, arg *qapi.DeviceListPropertiesArg) ([]*qapi.ObjectPropertyInfo, error) {
	t, ok := s.Types.Lookup(arg.Typename)
	switch {
	case !ok && s.Registry.Lookup(arg.Typename) == nil:
		return nil, &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: fmt.Sprintf("Device '%s' not found", arg.Typename)}
	case ok && !s.Types.Is(arg.Typename, "device"):
		return nil, qapi.Errorf("Parameter 'typename' expects a device type")
	case ok && t.Abstract:
		return nil, qapi.Errorf("Parameter 'typename' expects a non-abstract device type")
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Properties(arg.Typename), nil
}

// DeviceAdd implements qapi.QdevCommands.
func (s *Service) DeviceAdd(_ context.Context, args *qapi.Object) error {
	var set []qdev.Setting
	for name, v := range args.All() {
		text, err := qdev.Text(name, v)
		if err != nil { // not a simple value: QEMU does not see it
			continue
		}
		if name == "id" && !config.WellFormedID(text) {
			return qapi.Errorf("Parameter 'id' expects an identifier")
		}
		set = append(set, qdev.Setting{Name: name, Value: text})
	}
	return s.add(set)
}

func (s *Service) add(set []qdev.Setting) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	_, err := s.Tree().Add(set)
	return err
}

// DeviceDel implements qapi.QdevCommands.
func (s *Service) DeviceDel(_ context.Context, arg *qapi.DeviceDelArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Tree()
	d, err := t.FindDevice(arg.Id)
	if err != nil {
		return qomcmd.Error(err)
	}
	return t.RequestUnplug(d, arg.Id)
}

// Forward tells clients of devices that are gone. Preconditions: the machine lock is held.
func (s *Service) Forward(emit func(qapi.Event)) {
	s.Tree().OnRemoved = func(id, path string) {
		ev := &qapi.DeviceDeletedEvent{Path: path}
		if id != "" {
			ev.Device = &id
		}
		emit(ev)
	}
}
