export {
  type Authority,
  createAuthority,
  createRequest,
  type IssueOptions,
  issue,
  issueWithNewKey,
} from "./authority.ts";
export { fetchAuthority, fingerprint, formatToken, parseToken, type Token } from "./enrolment.ts";
export { type Identity, identityOf, identityUri, type Role, roles } from "./identity.ts";
