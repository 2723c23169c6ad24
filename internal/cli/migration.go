package cli

import "errors"

func (p *parser) loadVM(v string) error { p.VM.LoadVM = v; return nil }

func (p *parser) incoming(v string) error { p.VM.Incoming = v; return nil }

func (p *parser) onlyMigratable(string) error { p.VM.OnlyMigratable = true; return nil }

func (p *parser) dumpVMState(file string) error {
	if p.VM.DumpVMState != "" {
		return errors.New("only one '-dump-vmstate' option may be given")
	}
	p.VM.DumpVMState = file
	return nil
}
