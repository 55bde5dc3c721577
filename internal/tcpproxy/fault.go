package tcpproxy

import "time"

// Fault is what a proxy does to its connections. The zero value does nothing.
type Fault struct {
	Delay    time.Duration // before each piece of an answer
	Hang     bool          // the proxy reads everything and answers nothing, also after Heal
	Truncate int           // resets the connection this many bytes before the end of an answer
	Replace  string        // takes the place of each answer
	Every    int           // affects every Nth piece of an answer, and no request; zero: all
}

// Fail begins a fault for present and new connections.
func (p *Proxy) Fail(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Heal ends the fault. Connections that hang stay so.
func (p *Proxy) Heal() { p.Fail(Fault{}) }

// LoseAnswer forwards the next request with text, in any letter case, and resets
// its connection in place of the answer.
func (p *Proxy) LoseAnswer(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = []byte(text)
}

// Lost returns how many answers LoseAnswer has lost.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// request applies the fault to a piece of a request.
func (p *Proxy) request(l *link, piece []byte) ([]byte, end) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose != nil && contains(piece, p.lose) {
		p.lose = nil
		l.mu.Lock()
		l.lose = true
		l.mu.Unlock()
	}
	if p.fault.Hang && p.fault.Every == 0 {
		return nil, hang
	}
	return piece, goOn
}

// answer applies the fault to a piece of an answer.
func (p *Proxy) answer(l *link, piece []byte) ([]byte, end) {
	f, lose := p.onAnswer(l)
	if lose {
		return nil, broken
	}
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-l.done:
		}
	}
	switch {
	case f.Hang:
		return nil, hang
	case f.Truncate > 0:
		return piece[:max(0, len(piece)-f.Truncate)], broken
	case f.Replace != "":
		return []byte(f.Replace), goOn
	}
	return piece, goOn
}

// onAnswer returns the fault for the next piece, and whether to lose it.
func (p *Proxy) onAnswer(l *link) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose {
		p.lost++
		return Fault{}, true
	}
	if p.fault.Every > 0 {
		if p.answers++; p.answers%p.fault.Every != 0 {
			return Fault{}, false
		}
	}
	return p.fault, false
}
