import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const { dropgate } = window; // from the script in index.html

// useSession is undefined until the session is known, and null without one.
function useSession() {
  const [session, setSession] = useState();
  useEffect(() => {
    const read = () => dropgate.session().then(setSession, () => {}); // useProblem shows the fault
    read();
    return dropgate.on("linked", read);
  }, []);
  return session;
}

const problems = {
  refused: ({ message, requestId }) => `${message} (Request ${requestId})`,
  unavailable: () => "This does not work at the moment. Please try again in a minute.",
  "link-failed": () => "Your account exists, but is not connected yet. Please reload the page in a minute.",
  "library-missing": () => "A part of this page did not load. Please reload it.",
};

// useProblem is the latest fault in words for the user.
function useProblem() {
  const [problem, setProblem] = useState();
  useEffect(() => {
    const unsubscribe = Object.entries(problems).map(([name, text]) =>
      dropgate.on(name, (detail) => setProblem(text(detail))),
    );
    return () => unsubscribe.forEach((stop) => stop());
  }, []);
  return problem;
}

function App() {
  const session = useSession();
  const problem = useProblem();
  return (
    <main>
      <h1>Your account</h1>
      {problem && <p role="alert">{problem}</p>}
      {session === null && <button onClick={() => dropgate.signIn()}>Sign in</button>}
      {session && <Account session={session} />}
    </main>
  );
}

const legal = { terms: "/terms", privacy: "/privacy" };

// Account keeps the component that creates the Customer on the page after the link:
// it may still ask for a document.
function Account({ session: { user, customer } }) {
  const [creating, setCreating] = useState(!customer);
  return (
    <>
      <p>Signed in as {user.name ?? user.id}</p>
      {creating && <dwolla-personal-vcr {...legal} />}
      {creating && customer && <button onClick={() => setCreating(false)}>Continue</button>}
      {!creating && customer.status === "document" && <dwolla-document-upload customerId={customer.id} />}
      {!creating && customer.status !== "document" && <dwolla-balance-display customerId={customer.id} />}
    </>
  );
}

createRoot(document.getElementById("root")).render(<App />);
