// Package qomcmd has the commands about the tree of objects and the types of objects.
package qomcmd

import (
	"context"

	"goemu/internal/mainloop"
	"goemu/internal/qom"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// Service carries the commands out.
type Service struct {
	// Root is the tree of objects, nil before the machine is made.
	Root func() *qom.Node
	// Types are all types of objects.
	Types *qom.Types
	// Properties are the properties of objects of a type; called under the machine lock.
	Properties func(typ string) ([]*qapi.ObjectPropertyInfo, error)
	// Objects are the users' objects; used under the machine lock.
	Objects func() *userobj.Set
}

// Error gives an error of the tree of objects its class.
func Error(err error) error {
	if n, ok := err.(qom.NotFound); ok {
		return &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: n.Error()}
	}
	return err
}

// Resolve finds an object. Preconditions: the machine lock is held.
func (s *Service) Resolve(path string) (*qom.Node, error) {
	root := s.Root()
	if root == nil {
		return nil, Error(qom.NotFound{Path: path})
	}
	n, err := root.Resolve(path)
	return n, Error(err)
}

// QomList implements qapi.QomCommands.
func (s *Service) QomList(_ context.Context, arg *qapi.QomListArg) (list []*qapi.ObjectPropertyInfo, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	n, err := s.Resolve(arg.Path)
	if err != nil {
		return nil, err
	}
	for _, p := range n.Properties() {
		list = append(list, &qapi.ObjectPropertyInfo{Name: p.Name, Type: p.Type})
	}
	return list, nil
}

// QomGet implements qapi.QomCommands.
func (s *Service) QomGet(_ context.Context, arg *qapi.QomGetArg) (any, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	n, err := s.Resolve(arg.Path)
	if err != nil {
		return nil, err
	}
	v, err := n.Get(arg.Property)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// QomSet implements qapi.QomCommands.
func (s *Service) QomSet(_ context.Context, arg *qapi.QomSetArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	n, err := s.Resolve(arg.Path)
	if err != nil {
		return err
	}
	return n.Set(arg.Property, arg.Value)
}

// QomListTypes implements qapi.QomCommands.
func (s *Service) QomListTypes(_ context.Context, arg *qapi.QomListTypesArg) (list []*qapi.ObjectTypeInfo, err error) {
	of := ""
	if arg.Implements != nil {
		of = *arg.Implements
	}
	for _, t := range s.Types.List(of, arg.Abstract != nil && *arg.Abstract) {
		info := &qapi.ObjectTypeInfo{Name: t.Name}
		if t.Abstract {
			info.Abstract = &t.Abstract
		}
		if t.Parent != "" {
			info.Parent = &t.Parent
		}
		list = append(list, info)
	}
	return list, nil
}

// QomListProperties implements qapi.QomCommands.
func (s *Service) QomListProperties(_ context.Context, arg *qapi.QomListPropertiesArg) ([]*qapi.ObjectPropertyInfo, error) {
	if _, ok := s.Types.Lookup(arg.Typename); !ok {
		return nil, &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: "Class '" + arg.Typename + "' not found"}
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Properties(arg.Typename)
}

// ObjectAdd implements qapi.QomCommands.
func (s *Service) ObjectAdd(_ context.Context, arg *qapi.Object) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Objects().Add(arg)
}

// ObjectDel implements qapi.QomCommands.
func (s *Service) ObjectDel(_ context.Context, arg *qapi.ObjectDelArg) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	return s.Objects().Remove(arg.Id)
}
