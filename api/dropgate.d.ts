// Types of dropgate.js, the browser side of dropgate. Add this file to the `include` of
// your tsconfig.json. It describes the global `dropgate` of the script
//
//   <script src="/dropgate/dropgate.js" data-environment="sandbox"></script>
//
// and the exports of the ES module, imported from any URL that ends in /dropgate.mjs.
//
// It needs a browser of 2022 or later (AbortSignal.timeout, ?? and ||=).
//
// The script never puts a token into a URL, a log or a store. In sessionStorage it
// keeps only the time of its last redirect to the sign-in, against endless redirects.

declare namespace Dropgate {
  interface Options {
    /** The environment of Dwolla's library. A script tag with data-environment configures at once. */
    environment?: "sandbox" | "production";
    /** The style sheet that the library loads into each component. */
    styles?: string;
    /**
     * The address of the service: a path or a URL, also of another origin. The default is
     * the directory of the script. A bundled module needs it.
     */
    base?: string;
    /**
     * What happens if nobody is signed in. "redirect" (the default) goes to the service's
     * sign-in and comes back; it needs the mode oidc. "event" only reports signin-required
     * (the default with getAccessToken).
     */
    signIn?: "redirect" | "event";
    /** Where the browser goes after the sign-in: a path, or a URL of an allowed origin. The default is the present page. */
    returnTo?: string;
    /** Returns the user's access token. Requests then carry it instead of cookies. */
    getAccessToken?: () => string | Promise<string>;
    /** Called after the event success or api-error, with what the library delivers. */
    success?: (result: unknown) => void;
    /** Called after the event error, with what the library delivers. */
    error?: (error: unknown) => void;
    /** Listeners by the name of the event, without its prefix. Each call of configure adds them. */
    on?: { [Name in EventName]?: Listener<Name> };
  }

  /** The answer of GET /session. openapi.yaml describes it. */
  interface Session {
    user: { id: string; name?: string; email?: string };
    customer: Customer | null;
    environment: "sandbox" | "production";
    actions: string[];
    components: string[];
    correlationId?: string;
    /** RFC 3339. */
    expiresAt?: string;
  }

  interface Customer {
    id: string;
    href: string;
    status?: string;
  }

  interface TokenRequest {
    action: string;
    links?: Links | null;
    _links?: Links | null;
  }

  interface Links {
    customer?: { href: string } | null;
    "beneficial-owner"?: { href: string } | null;
  }

  /** A failed request. A rejected promise has an Error with the same properties. */
  interface Fault {
    /**
     * The service's code, or NetworkError, Timeout (30 seconds) or InvalidResponse (not the
     * service's JSON: check base and the proxy).
     */
    code: string;
    message: string;
    /** Finds the request in the service's log. Null if no answer came, or if its origin hides it. */
    requestId?: string | null;
    /** In seconds; 0 if unknown. */
    retryAfter: number;
    /** Of a request for a client token. */
    action?: string;
  }

  /** The details of the events. Each event is a CustomEvent on document with the prefix "dropgate:". */
  interface Events {
    /** GET /session has answered after configure: the session, or null if nobody is signed in. */
    ready: Session | null;
    /**
     * A component, a client token or another request needs a sign-in. preventDefault()
     * stops the redirect. The script goes to the sign-in at most once a minute; if the
     * user is still signed out, it reports an error instead.
     */
    "signin-required": { loginUrl: string; requestId?: string | null };
    /** The policy asks for a fresher or stronger sign-in. */
    "reauthentication-required": Fault;
    /** The service refuses, and would refuse again: a forbidden action, a foreign Customer, an invalid request. */
    refused: Fault;
    /** The service, Dwolla or the network fails, even at a second attempt. */
    unavailable: Fault;
    /** Dwolla's API refuses a component's request. The library delivers that through success. */
    "api-error": { code: string; message: string; resource?: string; embedded?: { code?: string; message?: string; path?: string }[] };
    /** A component has finished a step. */
    success: { resource?: string; location?: string };
    /** The new Customer is the user's own now, and the session says so. */
    linked: { customer: Customer };
    /** A new Customer could not be linked, even after three more attempts. */
    "link-failed": Fault & { href: string };
    /** The library or a component fails; also a sign-in that does not last. */
    error: { message: string };
    /** The session ends within two minutes. */
    "session-expiring": { expiresAt: string; keepAlive: () => Promise<Session> };
    /** Dwolla's library has not arrived within so many seconds. If it arrives later, it is configured then. */
    "library-missing": { after: number };
  }

  type EventName = keyof Events;
  type Listener<Name extends EventName> = (detail: Events[Name], event: CustomEvent<Events[Name]>) => void;

  /**
   * Configures the library as soon as it is there, and gives each dwolla-* element of the
   * document the id that it lacks, also to elements added later: the user's correlationId
   * to one that creates a Customer, else the customerId. What the page has set stays.
   * Elements inside another element's shadow root are not found. May be called again.
   */
  type Configure = (options?: Options) => Promise<void>;
  /** Fetches a client token, as the library does. */
  type Token = (request: TokenRequest) => Promise<{ token: string }>;
  /** The session, or null if nobody is signed in. It is fetched once, and again with refresh. Reading never extends it. */
  type GetSession = (options?: { refresh?: boolean }) => Promise<Session | null>;
  /** Extends the session without a client token. */
  type KeepAlive = () => Promise<Session>;
  /** Goes to the sign-in, and comes back to returnTo. */
  type SignIn = (returnTo?: string) => void;
  /** Ends the session, and goes to the provider's sign-out page unless the option signIn is "event". */
  type SignOut = () => Promise<{ endSessionUrl?: string }>;
  /** Links a new Customer to the user. The script does this itself after a component's success. */
  type Link = (href: string) => Promise<Customer>;
  /** Listens to an event. The result stops listening. */
  type On = <Name extends EventName>(name: Name, listener: Listener<Name>) => () => void;

  interface API {
    /** The version of the service's contract. */
    readonly version: string;
    /** The directory from which the script was loaded. */
    base: string;
    configure: Configure;
    token: Token;
    session: GetSession;
    keepAlive: KeepAlive;
    signIn: SignIn;
    signOut: SignOut;
    link: Link;
    on: On;
  }

  type DocumentEvents = { [Name in EventName as `dropgate:${Name}`]: CustomEvent<Events[Name]> };
}

declare const dropgate: Dropgate.API;

interface Window {
  readonly dropgate: Dropgate.API;
}

interface DocumentEventMap extends Dropgate.DocumentEvents {}

interface WindowEventMap extends Dropgate.DocumentEvents {}

declare module "*/dropgate.mjs" {
  const dropgate: Dropgate.API;
  export default dropgate;
  export const version: string;
  export const configure: Dropgate.Configure;
  export const token: Dropgate.Token;
  export const session: Dropgate.GetSession;
  export const keepAlive: Dropgate.KeepAlive;
  export const signIn: Dropgate.SignIn;
  export const signOut: Dropgate.SignOut;
  export const link: Dropgate.Link;
  export const on: Dropgate.On;
}
