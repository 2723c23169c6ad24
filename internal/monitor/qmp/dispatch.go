package qmp

import (
	"context"

	"goemu/internal/trace"
	"goemu/qapi"
)

// sessionKey is the key of the session in a command's context.
type sessionKey struct{}

// SessionOf returns the session that a command came from, nil if it came from none.
func SessionOf(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

// Members of a reply, in the order of QEMU's dictionaries.
var replyOrder = qapi.DictOrder([]string{"return", "id"})

// reply carries a request out and returns the text of the reply.
func (s *Session) reply(r request) []byte {
	if r.err != nil {
		return errorReply(r.err, nil, false)
	}
	o, ok := r.v.(*qapi.Object)
	if !ok {
		return errorReply(qapi.Errorf("QMP input must be a JSON object"), nil, false)
	}
	if trace.HandleQMPCommand.Traced() {
		trace.HandleQMPCommand.Log("mon %p req: %s", s, qapi.AppendJSON(nil, o))
	}
	id, hasID := o.Get("id")
	ret, err := s.execute(o)
	if err != nil {
		return errorReply(err, id, hasID)
	}
	if ret == nil {
		ret = new(qapi.Object)
	}
	if !hasID {
		return append(qapi.AppendJSON([]byte(`{"return": `), ret), '}')
	}
	b := []byte{'{'}
	for i, name := range replyOrder {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(qapi.AppendString(b, name), ": "...)
		if name == "id" {
			b = qapi.AppendJSON(b, id)
		} else {
			b = qapi.AppendJSON(b, ret)
		}
	}
	return append(b, '}')
}

func errorReply(err error, id any, hasID bool) []byte {
	e := qapi.ErrorOf(err)
	o := qapi.NewObject("error", qapi.NewObject("class", string(e.Class), "desc", e.Desc))
	if hasID {
		o.Set("id", id)
	}
	return qapi.AppendJSON(nil, o)
}

// check looks at the form of a request and returns the command's name.
func (s *Session) check(o *qapi.Object) (name string, oob bool, err error) {
	if name, oob, err = s.members(o, o.Names()); err != nil && o.Len() > 1 {
		return s.members(o, qapi.DictOrder(o.Names())) // of several mistakes the one that QEMU meets first
	}
	return name, oob, err
}

// members looks at the members of a request in the order of names.
func (s *Session) members(o *qapi.Object, names []string) (name string, oob bool, err error) {
	key := ""
	for _, member := range names {
		v, _ := o.Get(member)
		switch {
		case member == "execute" || member == "exec-oob" && s.oob.Load():
			text, ok := v.(string)
			if !ok {
				return "", false, qapi.Errorf("QMP input member '%s' must be a string", member)
			}
			if key != "" {
				return "", false, qapi.Errorf("QMP input member '%s' clashes with '%s'", member, key)
			}
			name, key = text, member
		case member == "arguments":
			if _, ok := v.(*qapi.Object); !ok {
				return "", false, qapi.Errorf("QMP input member 'arguments' must be an object")
			}
		case member != "id":
			return "", false, qapi.Errorf("QMP input member '%s' is unexpected", member)
		}
	}
	if key == "" {
		return "", false, qapi.Errorf("QMP input lacks member 'execute'")
	}
	return name, key == "exec-oob", nil
}

func notFound(text string) error {
	return &qapi.Error{Class: qapi.QapiErrorClassCommandNotFound, Desc: text}
}

// execute runs the command of a request.
func (s *Session) execute(o *qapi.Object) (any, error) {
	name, oob, err := s.check(o)
	if err != nil {
		return nil, err
	}
	args, _ := o.Get("arguments")
	arguments, _ := args.(*qapi.Object)
	if s.commands.Load() == negotiation {
		return s.negotiate(name, arguments)
	}
	cmd := s.server.Registry.Find(name)
	switch {
	case name == "qmp_capabilities":
		return nil, notFound("Capabilities negotiation is already complete, command ignored")
	case cmd == nil:
		return nil, notFound("The command " + name + " has not been found")
	}
	if err := s.server.Policy.CheckCommand(cmd.Command); err != nil {
		return nil, err
	}
	switch {
	case oob && !cmd.OOB:
		return nil, qapi.Errorf("The command %s does not support OOB", name)
	case !cmd.Preconfig && s.server.Ready != nil && !s.server.Ready():
		return nil, qapi.Errorf("The command '%s' is permitted only after machine initialization has completed", name)
	}
	if err := s.server.Policy.CheckArguments(cmd.Command, arguments); err != nil {
		return nil, err
	}
	ret, err := cmd.Call(context.WithValue(s.server.Context, sessionKey{}, s), arguments)
	if err != nil {
		return nil, err
	}
	return s.server.Policy.Output(cmd.Ret, ret), nil
}

// negotiate carries out a command of a client that has not negotiated.
func (s *Session) negotiate(name string, args *qapi.Object) (any, error) {
	if name != "qmp_capabilities" {
		return nil, notFound("Expecting capabilities negotiation with 'qmp_capabilities'")
	}
	var arg qapi.QmpCapabilitiesArg
	if args == nil {
		args = new(qapi.Object)
	}
	if err := qapi.Decode("q_obj_qmp_capabilities-arg", args, &arg); err != nil {
		return nil, err
	}
	for range arg.Enable { // there is only one, and it is always offered
		s.oob.Store(true)
	}
	s.commands.Store(operation)
	return nil, nil
}
