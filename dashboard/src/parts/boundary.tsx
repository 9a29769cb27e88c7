import { Component, type ReactNode } from "react";
import { Icon } from "./icon";

/** A fault of this program takes down its page, never the rail and the scope bar around it. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="page">
        <div className="fail" role="alert">
          <h1>
            <Icon name="warning" />
            This page failed
          </h1>
          <p>The fault is in the dashboard, not in your data: nothing is lost, and the API answers as before.</p>
          <div className="fail-actions">
            <button type="button" className="button" onClick={() => this.setState({ failed: false })}>
              <Icon name="again" />
              Try again
            </button>
          </div>
        </div>
      </div>
    );
  }
}
