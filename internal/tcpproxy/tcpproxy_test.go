package tcpproxy_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"dropgate/internal/tcpproxy"
)

// echo starts a server that answers each line with a greeting and the line.
func echo(t *testing.T, greeting string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					_, _ = conn.Write([]byte(greeting + lines.Text() + "\n"))
				}
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", addr)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// ask sends a line and reads one within wait.
func ask(conn net.Conn, line string, wait time.Duration) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return answer, err
}

// answers fails the test unless a new connection gets the answer.
func answers(t *testing.T, p *tcpproxy.Proxy, want string) net.Conn {
	t.Helper()
	conn, err := dial(t, p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(conn, "x", time.Minute); got != want {
		t.Fatalf("%q %v, want %q", got, err, want)
	}
	return conn
}

func TestStoppedProxyRefusesUntilStarted(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	conn := answers(t, p, "a x\n")
	p.Stop()
	if got, err := ask(conn, "x", time.Minute); err == nil {
		t.Errorf("an old connection answers %q", got)
	}
	if _, err := dial(t, p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	p.Start()
	answers(t, p, "a x\n")
}

func TestResetBreaksOnlyPresentConnections(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	conn := answers(t, p, "a x\n")
	p.Reset()
	if got, err := ask(conn, "x", time.Minute); err == nil {
		t.Errorf("the connection answers %q", got)
	}
	answers(t, p, "a x\n")
}

func TestRedirectAffectsNewConnections(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	conn := answers(t, p, "a x\n")
	p.Redirect(echo(t, "b "))
	if got, err := ask(conn, "x", time.Minute); got != "a x\n" {
		t.Errorf("the old connection: %q %v", got, err)
	}
	answers(t, p, "b x\n")
}

func TestFaultsChangeAnswersUntilHealed(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	p.Fail(tcpproxy.Fault{Replace: "nonsense\n"})
	answers(t, p, "nonsense\n")
	p.Fail(tcpproxy.Fault{Replace: "nonsense\n", Every: 2})
	conn := answers(t, p, "a x\n")
	if got, err := ask(conn, "x", time.Minute); got != "nonsense\n" {
		t.Errorf("the second answer is %q %v", got, err)
	}
	p.Fail(tcpproxy.Fault{Truncate: 2})
	if got, err := ask(conn, "x", time.Minute); err == nil {
		t.Errorf("a truncated answer is %q", got)
	}
	p.Fail(tcpproxy.Fault{Delay: time.Millisecond})
	answers(t, p, "a x\n")
	p.Heal()
	answers(t, p, "a x\n")
}

func TestHangingConnectionStaysSilentAfterHeal(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	conn := answers(t, p, "a x\n")
	p.Fail(tcpproxy.Fault{Hang: true})
	began, err := dial(t, p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{conn, began} {
		if got, err := ask(c, "x", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q %v, want silence", got, err)
		}
	}
	p.Heal()
	if got, err := ask(conn, "x", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("healed: %q %v, want silence", got, err)
	}
	answers(t, p, "a x\n")
}

func TestLoseAnswerLosesOneAnswer(t *testing.T) {
	p := tcpproxy.New(t, echo(t, "a "))
	conn := answers(t, p, "a x\n")
	p.LoseAnswer("SPECIAL")
	if got, err := ask(conn, "x", time.Minute); got != "a x\n" {
		t.Errorf("another request: %q %v", got, err)
	}
	if got, err := ask(conn, "special", time.Minute); err == nil {
		t.Errorf("the lost answer is %q", got)
	}
	answers(t, p, "a x\n")
	if p.Lost() != 1 {
		t.Errorf("%d answers were lost, want 1", p.Lost())
	}
}
