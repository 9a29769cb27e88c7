import { useQueryClient } from "@tanstack/react-query";
import { Suspense, lazy, useEffect } from "react";
import { useSearch } from "wouter/use-browser-location";
import { useMe } from "./api/answers";
import { Failed } from "./parts/card";
import { Patterns } from "./parts/icon";
import { TipLayer } from "./parts/tip";
import { Toasts } from "./parts/toast";
import { Overview } from "./pages/overview";
import { Models } from "./pages/models";
import { Notices } from "./pages/notices";
import { Shell } from "./pages/shell";
import { Tools } from "./pages/tools";
import { Traces } from "./pages/traces";
import { Users } from "./pages/users";
import { Search, go, href, pathOf, recall, usePlace } from "./state/address";
import { useLiveRefresh } from "./state/freshness";
import { useTicking } from "./state/now";
import { parseScope, isScopeParameter, scopePairs } from "./state/scope";

const TracePage = lazy(() => import("./pages/trace").then((page) => ({ default: page.TracePage })));
const UserPage = lazy(() => import("./pages/user").then((page) => ({ default: page.UserPage })));
const SignIn = lazy(() => import("./pages/sign-in").then((page) => ({ default: page.SignIn })));
const ApiDocs = lazy(() => import("./pages/api-docs").then((page) => ({ default: page.ApiDocs })));
const Embed = lazy(() => import("./pages/embed").then((page) => ({ default: page.Embed })));

export function App() {
  useTicking();
  const { page } = usePlace();
  return (
    <Search value={useSearch()}>
      <Patterns />
      <Suspense fallback={null}>{page === "sign-in" ? <SignIn /> : page === "embed" ? <Embed /> : page === "api" ? <ApiDocs /> : <SignedIn />}</Suspense>
      <TipLayer />
      <Toasts />
    </Search>
  );
}

function SignedIn() {
  const client = useQueryClient();
  const me = useMe();
  const out = me.error?.status === 401;
  useEffect(() => {
    if (!out) return;
    // The session is over: what it read does not outlive it.
    client.clear();
    go(href(pathOf("sign-in"), [["to", location.pathname + location.search]]), { replace: true });
  }, [out, client]);
  if (out) return null;
  if (me.error) {
    return (
      <main className="alone">
        <h1 className="hidden">Percapita</h1>
        <Failed what="The dashboard" error={me.error} onAgain={() => void me.refetch()} busy={me.isFetching} />
      </main>
    );
  }
  return me.data ? <Sections /> : null;
}

function Sections() {
  useLiveRefresh(useQueryClient());
  useSpelledOutScope();
  const { page, id } = usePlace();
  return (
    <Shell>
      {page === "overview" && <Overview />}
      {page === "users" && (id === null ? <Users /> : <UserPage key={id} userId={id} />)}
      {page === "traces" && (id === null ? <Traces /> : <TracePage key={id} traceId={id} />)}
      {page === "models" && <Models />}
      {page === "tools" && <Tools />}
      {page === "notices" && <Notices />}
      {page === "unknown" && <NotFound />}
    </Shell>
  );
}

/** An address without window and zone gets the remembered ones written into it, so that it means the same to whom it is sent. */
function useSpelledOutScope(): void {
  useEffect(() => {
    const params = new URLSearchParams(location.search);
    const scope = parseScope(params, recall());
    if (params.has("tz") && (params.has("window") || params.has("from"))) return;
    const own = [...params].filter(([name]) => !isScopeParameter(name));
    go(href(location.pathname, [...scopePairs(scope), ...own]), { replace: true });
  });
}

function NotFound() {
  return (
    <div className="page">
      <div className="head">
        <h1>There is no such page</h1>
      </div>
      <p>The address names none of the sections. They are on the left.</p>
    </div>
  );
}
