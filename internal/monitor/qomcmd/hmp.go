package qomcmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/internal/qom"
	"goemu/internal/userobj"
	"goemu/qapi"
)

// HMP lists the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "object_add", Args: "object:S", Params: "[qom-type=]type,id=str[,prop=value][,...]", Help: "create QOM object", Preconfig: true, Run: s.hmpAdd},
		{Name: "object_del", Args: "id:s", Params: "id", Help: "destroy QOM object", Preconfig: true, Run: func(m *hmp.Monitor, a *hmp.Args) error {
			return s.ObjectDel(m.Context(), &qapi.ObjectDelArg{Id: a.Text("id")})
		}},
		{Name: "qom-list", Args: "path:s?", Params: "path", Help: "list QOM properties", Preconfig: true, Run: s.hmpList},
		{Name: "qom-get", Args: "path:s,property:s", Params: "path property", Help: "print QOM property", Preconfig: true, Run: s.hmpGet},
		{Name: "qom-set", Args: "json:-j,path:s,property:s,value:S", Params: "[-j] path property value",
			Help: "set QOM property.\n\t\t\t-j: the value is specified in json format.", Preconfig: true, Run: s.hmpSet},
	}
	info = []*hmp.Command{{Name: "qom-tree", Args: "path:s?", Params: "[path]", Help: "show QOM composition tree", Preconfig: true, Run: s.hmpTree}}
	return commands, info
}

// hmpAdd is the command object_add.
func (s *Service) hmpAdd(m *hmp.Monitor, a *hmp.Args) error {
	text := a.Text("object")
	typ, rest, _ := config.CutElement(text)
	switch t := s.Objects().Type(typ); {
	case isHelp(typ):
		m.Printf("List of user creatable objects:\n")
		for _, t := range s.Objects().Types {
			m.Printf("  %s\n", t.Name)
		}
		return nil
	case t != nil && slices.ContainsFunc(config.SplitElements(rest), isHelp):
		m.Printf("%s", t.Help())
		return nil
	}
	o, err := qapi.ParseOption("ObjectOptions", text, "qom-type")
	if err == nil {
		err = qapi.Decode("ObjectOptions", o, nil)
	}
	if err == nil {
		err = s.ObjectAdd(m.Context(), o)
	}
	if errors.Is(err, userobj.ErrID) {
		err = fmt.Errorf("%w\n%s", err, userobj.IDHint)
	}
	return err
}

func isHelp(s string) bool { return s == "help" || s == "?" }

func (s *Service) hmpList(m *hmp.Monitor, a *hmp.Args) error {
	path, ok := a.String("path")
	if !ok {
		m.Printf("/\n")
		return nil
	}
	list, err := s.QomList(m.Context(), &qapi.QomListArg{Path: path})
	for _, p := range list {
		m.Printf("%s (%s)\n", p.Name, p.Type)
	}
	return err
}

func (s *Service) hmpGet(m *hmp.Monitor, a *hmp.Args) error {
	v, err := s.QomGet(m.Context(), &qapi.QomGetArg{Path: a.Text("path"), Property: a.Text("property")})
	if err != nil {
		return err
	}
	m.Printf("%s\n", qapi.Pretty(qapi.AppendJSON(nil, v)))
	return nil
}

// hmpSet is the command qom-set: the property's type tells how a value that is no JSON is written.
func (s *Service) hmpSet(m *hmp.Monitor, a *hmp.Args) error {
	arg := &qapi.QomSetArg{Path: a.Text("path"), Property: a.Text("property")}
	text := a.Text("value")
	if a.Bool("json") {
		v, err := qapi.ParseJSON(text)
		if err != nil {
			return err
		}
		arg.Value = v
		return s.QomSet(m.Context(), arg)
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	n, err := s.Resolve(arg.Path)
	if err != nil {
		return err
	}
	var v any = text
	for _, p := range n.Properties() {
		if p.Name != arg.Property {
			continue
		}
		switch p.Type {
		case "bool":
			v, err = qapi.ParseSimple("bool", arg.Property, text)
		case "int", "int8", "int16", "int32", "int64":
			v, err = qapi.ParseSimple("int", arg.Property, text)
		case "uint8", "uint16", "uint32", "uint64", "size":
			v, err = qapi.ParseSimple("size", arg.Property, text)
		}
	}
	if err != nil {
		return err
	}
	return n.Set(arg.Property, v)
}

// hmpTree is the command info qom-tree.
func (s *Service) hmpTree(m *hmp.Monitor, a *hmp.Args) error {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	path, given := a.String("path")
	if !given {
		path = "/machine"
	}
	n, err := s.Resolve(path)
	switch {
	case err == nil:
		printNode(m, n, 0)
	case given && isNotFound(err):
		m.Printf("Path '%s' could not be resolved.\n", path)
	case given:
		m.Printf("Warning: Path '%s' is ambiguous.\n", path)
	default:
		return err
	}
	return nil
}

func isNotFound(err error) bool {
	var e *qapi.Error
	return errors.As(err, &e) && e.Class == qapi.QapiErrorClassDeviceNotFound
}

// indentStep is how much further in what is below something begins.
const indentStep = 2

func printNode(m *hmp.Monitor, n *qom.Node, indent int) {
	m.Printf("%*s/%s (%s)\n", indent, "", n.Name(), n.Type())
	list := slices.Clone(n.Children())
	slices.SortFunc(list, func(a, b *qom.Node) int { return strings.Compare(a.Name(), b.Name()) })
	for _, c := range list {
		printNode(m, c, indent+indentStep)
	}
}
